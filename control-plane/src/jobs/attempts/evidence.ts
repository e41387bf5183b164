/** What the end of an attempt tells of the machine that it ran on. */
import type { Clusters } from '../../clusters/ports.js';
import type { Reputation } from '../../inventory/ports.js';
import type { Transaction } from '../../platform/index.js';
import type { JobRow } from '../store.js';
import type { AttemptEnd, AttemptRow } from './store.js';

interface Circumstances {
  /** It had been asked to leave the machine, which is to be left; not where it makes room, or is out of budget. */
  drained: boolean;
  /** Its user had asked it to stop. */
  stopping: boolean;
  /** How its head stands by then: `failed` without being told to end, `told` to end (a cluster deleted, a drain), or up. */
  head: 'failed' | 'told' | 'up';
}

/**
 * `cause` is what ended it, before it is read as a move. Null: nothing is told, as where the user stops the job or deletes
 * the cluster under it, and where its runtime environment could not be set up, which may be the fault of either.
 */
export function evidenceOf(
  cause: Pick<AttemptEnd, 'outcome' | 'errorType'>,
  { drained, stopping, head }: Circumstances,
): 'attemptEnded' | 'attemptInterrupted' | 'drained' | null {
  if (cause.outcome === 'succeeded') return 'attemptEnded';
  if (cause.outcome === 'failed') return cause.errorType === 'RUNTIME_ENV_SETUP_FAILURE' ? null : 'attemptEnded';
  if (stopping) return null;
  // Notice or not: a head that failed before it was told to go has cut off what it carried.
  if (cause.outcome === 'lost' && head === 'failed') return 'attemptInterrupted';
  if (drained) return 'drained';
  return cause.outcome === 'lost' && head === 'up' ? 'attemptInterrupted' : null;
}

/** What has just ended, and where: `job` as it was before, `head`: null while it is up. */
interface End {
  attempt: AttemptRow;
  job: JobRow;
  cause: AttemptEnd;
  head: 'gone' | 'lost' | null;
}

/** To be called in the transaction that ends the attempt, by which it happens once. */
export async function noteEvidence(
  tx: Transaction,
  { clusters, reputation }: { clusters: Clusters; reputation: Reputation },
  { attempt, job, cause, head }: End,
  at: Date,
): Promise<void> {
  const { nodeId, failed } = await clusters.machineOf(tx, attempt.head_lease_id);
  const kind = evidenceOf(cause, {
    drained: attempt.evict_cause === 'drained',
    stopping: job.phase === 'stopping',
    head: head === null ? 'up' : failed ? 'failed' : 'told',
  });
  if (kind !== null) await reputation.record(tx, nodeId, job.tenant_id, { kind }, at);
}
