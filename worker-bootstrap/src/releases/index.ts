/** Releases of the agent on this machine: which one runs, how another takes its place, and how it comes back. */
export { Installation, nameOf } from './installation.js';
export { keeperScript, misconfigured, startAnew } from './keeper.js';
export { type InstallState, type Release, readState, stateFile, writeState } from './state.js';
