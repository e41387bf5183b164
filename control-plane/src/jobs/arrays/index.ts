/** Array jobs: one submission that runs as many times as it says, each index a job of the ordinary queue. */

export { refuseIndex, stopArray, traces } from './changes.js';
export { type ArrayLimits, refuseTooLarge, takeArray } from './intake.js';
export { ArrayKeeper } from './keeper.js';
export { ArrayLogReader } from './log.js';
