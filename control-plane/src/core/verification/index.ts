/** Proving that a device is what it says: the work, its commitment and spot checks, thresholds, verdicts. Pure. */
export * from './check.js';
export * from './expectation.js';
export * from './judge.js';
export * from './life.js';
export * from './merkle.js';
export * from './moment.js';
export * from './rates.js';
export * from './recorded.js';
export * from './sizing.js';
export * from './work.js';
