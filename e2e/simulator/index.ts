/** The simulator: a seeded day of a whole fleet in virtual time, through the real queue and the real attempt rules. */
export { Breach } from './checks.js';
export { simulateDay, worldSize } from './day.js';
export { type Bug, bugs } from './records.js';
export type { Size } from './scenario.js';
export { type GroundKind, groundKinds, groundOf, type Run, simulate } from './simulate.js';
