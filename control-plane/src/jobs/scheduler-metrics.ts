/** What runs of the scheduler decide and how long they take. */
import { counter, Durations, workBuckets } from '../platform/index.js';

export const made = counter('iocloud_scheduler_decisions_total', 'What runs of the scheduler decided', ['kind']);
export const refusals = counter('iocloud_scheduler_refusals_total', 'Clusters for jobs that were not brought up', [
  'reason',
]);
export const runs = new Durations(
  'iocloud_scheduler_run_duration_seconds',
  'One run over the queue, waiting for its lock included',
  [],
  workBuckets,
);
