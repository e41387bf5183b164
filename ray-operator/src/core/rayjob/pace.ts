/** When a RayJob is to be looked at again if nothing else happens to it. */
import type { RayJob } from '../kubernetes-objects.js';
import { plannedCleanup } from './cleanup.js';
import { asksRay, deadlineMs, type Observed, ownsCluster, stateOf } from './observation.js';
import { isFinished } from './states.js';

/** A head that does not answer is not asked all the time: a request to it keeps a worker busy until it times out. */
const unreachableFactor = 3;
const cleanupMs = 5_000;

export function nextLookMs(job: RayJob, observed: Observed, pollMs: number): number | undefined {
  const { nowMs, ray, cluster } = observed;
  const state = stateOf(job);
  const waits: number[] = [];
  if (asksRay(job, cluster)) waits.push(ray.kind === 'unreachable' ? pollMs * unreachableFactor : pollMs);
  if (state === 'Suspending' || state === 'Retrying' || (state === '' && !ownsCluster(job))) waits.push(pollMs);
  const deadline = deadlineMs(job);
  if (deadline) waits.push(deadline.atMs - nowMs);
  if (isFinished(state)) {
    const planned = plannedCleanup(job).filter(({ policy }) => policy !== 'DeleteNone');
    waits.push(...planned.filter(({ atMs }) => atMs > nowMs).map(({ atMs }) => atMs - nowMs));
    // What is due and waits for the submitter, or has failed.
    if (cluster && planned.some(({ atMs }) => atMs <= nowMs)) waits.push(cleanupMs);
  }
  return waits.length > 0 ? Math.max(0, Math.min(...waits)) : undefined;
}
