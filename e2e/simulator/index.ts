/** The simulator: a seeded day of a whole fleet in virtual time, through the real queue and the real attempt rules. */
export { Breach } from './checks.js';
export { ForgetfulGround, PoolsGround, type SimulatedGround } from './grounds.js';
export { type Scenario, type Size, scenarioOf } from './scenario.js';
export { type Run, simulate } from './simulate.js';
export type { Bug } from './world.js';
