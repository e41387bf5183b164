/**
 * Moving work away: an attempt is asked to end (SIGTERM to its driver, SIGKILL when the job's own grace is over) and its
 * job goes back into the queue at its old place, without one of its attempts used up. Draining a machine, the end of a
 * cluster's budget or time, and preemption use it. Nothing runs twice meanwhile: the attempt is live until its head, or the loss of it, says that it ended.
 */
import type { AttemptId, ClusterId, JobId } from '@iocloud/contracts';
import { type Transaction, wake } from '../../platform/index.js';
import { countEviction } from '../metrics.js';

export interface Eviction {
  cause: 'drained' | 'clusterOver' | 'preempted' | 'reclaimed' | 'budget';
  /** The job that it makes room for, if it does for one. */
  forJob: JobId | null;
  /** A sentence that the job's owner reads, such as "its machine n1 is being drained (maintenance)." */
  reason: string;
  /** When it is expected to have ended; whoever drains a machine ends what is left of it then. */
  deadline: Date;
}

/** Asks one attempt to move. False when it has ended, or has been asked before. */
export async function evictAttempt(tx: Transaction, attemptId: AttemptId, eviction: Eviction): Promise<boolean> {
  const { rowCount } = await tx.query(
    `UPDATE job_attempts SET evict_cause = $2, evicted_for = $3, evict_reason = $4, evict_deadline = $5,
       evict_asked_at = now()
     WHERE id = $1 AND phase <> 'ended' AND evict_reason IS NULL`,
    [attemptId, eviction.cause, eviction.forJob, eviction.reason, eviction.deadline],
  );
  if (rowCount === 1) await wake(tx, 'attempt', attemptId);
  if (rowCount === 1) countEviction(tx, eviction.cause);
  return rowCount === 1;
}

/** Its machine is being drained, or it is being stopped: asks all attempts of a cluster to move; those that have been asked are left as they are. */
export async function evictCluster(
  tx: Transaction,
  clusterId: ClusterId,
  eviction: Pick<Eviction, 'cause' | 'reason' | 'deadline'>,
): Promise<void> {
  const { rows } = await tx.query<{ id: AttemptId }>(
    `SELECT id FROM job_attempts WHERE cluster_id = $1 AND phase <> 'ended' AND evict_reason IS NULL ORDER BY id`,
    [clusterId],
  );
  for (const { id } of rows) await evictAttempt(tx, id, { ...eviction, forJob: null });
}

/** Its head has ended: whoever follows an attempt there looks at once. */
export async function wakeAttempts(tx: Transaction, clusterId: ClusterId): Promise<void> {
  await tx.query(
    `INSERT INTO outbox (topic, key) SELECT 'attempt', id FROM job_attempts WHERE cluster_id = $1 AND phase <> 'ended'`,
    [clusterId],
  );
}
