/** The attempts of jobs: their rows, how they end or are moved away, and the monitors that see them through. */
export { type Eviction, evictAttempt, evictCluster, wakeAttempts } from './eviction.js';
export { AttemptMonitors } from './monitors.js';
export { readRunning } from './running.js';
export { insertAttempts, type NewAttempt, takeRaySubmissionIds } from './store.js';
