/** What owners do with a whole array: stop it, delete it. */
import type { ClusterId, JobId } from '@iocloud/contracts';
import { type ArrayPhase, arrayTransitions } from '../../core/arrays/index.js';
import { Failure, type Queryable, type Transaction, wake } from '../../platform/index.js';
import { changeJob, type JobRow, recordJobEvent } from '../store.js';
import { holdBack } from './store.js';

/** False when it had ended already. None of its indices begins any more; the keeper stops those that have. */
export async function stopArray(tx: Transaction, array: JobRow): Promise<boolean> {
  if (array.phase === 'stopping') return true;
  const phase = arrayTransitions[array.phase as ArrayPhase].stop;
  if (!phase) return false;
  await holdBack(tx, array.id);
  await changeJob(tx, array, { phase });
  await recordJobEvent(tx, array, 'JobStopping', 'the array is being stopped');
  await wake(tx, 'array', array.id);
  return true;
}

/** An index goes with its array: without it the counts would not add up. Throws Failure 'conflict'. */
export function refuseIndex(row: JobRow): void {
  if (row.array_index === null) return;
  const name = row.submission_id.slice(0, row.submission_id.lastIndexOf('.'));
  throw new Failure('conflict', `${row.submission_id} is an index of the array ${name} and is deleted with it`);
}

/** What a job, or the indices of an array, have left behind on heads and as checkpoints. */
export async function traces(
  db: Queryable,
  jobId: JobId,
): Promise<{ copies: { cluster_id: ClusterId; ray_submission_id: string }[]; jobIds: JobId[] }> {
  const { rows } = await db.query<{ job_id: JobId; cluster_id: ClusterId; ray_submission_id: string }>({
    name: 'traces-of-job',
    text: `SELECT a.job_id, a.cluster_id, a.ray_submission_id FROM jobs j JOIN job_attempts a ON a.job_id = j.id
           WHERE j.id = $1 OR j.array_id = $1`,
    values: [jobId],
  });
  return { copies: rows, jobIds: [...new Set([jobId, ...rows.map(row => row.job_id)])] };
}
