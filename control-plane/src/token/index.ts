/** Token rules: hourly emission and rewards, stakes and slashes, votes on parameters, IOSD. docs/token.md has the rules. */
export { demandGenesis } from './emission.js';
export type { TokenMachines, TokenProofs, UsableRate } from './ports.js';
export { tokenRoutes } from './routes.js';
export { stakeShares } from './standing.js';
export { tokenSweep } from './sweep.js';
export { loadToken } from './token-file.js';
export { applyParameters } from './versions.js';
export type { TokenWiring } from './wiring.js';
