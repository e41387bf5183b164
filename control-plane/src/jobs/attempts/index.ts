/** The attempts of jobs: their rows, how they end, and the monitors that see them through. */
export { AttemptMonitors } from './monitors.js';
export { insertAttempt, reservations, takeRaySubmissionId } from './store.js';
