/** The table `job_attempts`: the tries of a job, of which at most one lives, and how each of them ends, once. */
import {
  type AttemptId,
  type AttemptPhase,
  type ClusterId,
  type JobId,
  type LeaseId,
  type RayJobDetails,
  type RetryPolicy,
  retryDelayMs,
  retryPolicyOf,
} from '@iocloud/contracts';
import { type Amounts, costMicroUsd, defaultQueueTerms } from '../../core/queueing/index.js';
import {
  type Database,
  inOrderOf,
  lookUp,
  type Queryable,
  type Transaction,
  together,
  wake,
} from '../../platform/index.js';
import { countEnd } from '../metrics.js';
import { factsOf } from '../ray-view.js';
import { type JobEvent, nextJobPhase } from '../states.js';
import { changeJob, type JobRow, lockJob, recordJobEvent, withoutNul } from '../store.js';
import type { Eviction } from './eviction.js';

export interface AttemptRow {
  id: AttemptId;
  job_id: JobId;
  number: number;
  cluster_id: ClusterId;
  head_lease_id: LeaseId;
  ray_submission_id: string;
  phase: AttemptPhase;
  reported: RayJobDetails | null;
  /** Why it shall end and go back into the queue; null: it shall not. */
  evict_reason: string | null;
  evict_cause: Eviction['cause'] | null;
  /** When it was first handed to its head, if it was. */
  sent_at: Date | null;
  started_at: Date;
  micro_usd_per_hour: number;
  stop_at: Date | null;
}

export interface NewAttempt {
  id: AttemptId;
  jobId: JobId;
  number: number;
  clusterId: ClusterId;
  headLeaseId: LeaseId;
  raySubmissionId: string;
  reserved: Amounts;
  microUsdPerHour: number;
  /** When its job's budget has it told to stop. */
  stopAt: Date | null;
  /** Something can be decided about it while it runs. */
  steerable: boolean;
}

export async function insertAttempts(tx: Transaction, attempts: NewAttempt[]): Promise<void> {
  await tx.query({
    name: 'insert-attempts',
    text: `INSERT INTO job_attempts (id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, reserved,
             micro_usd_per_hour, stop_at, steerable)
           SELECT id, job_id, number, cluster_id, head_lease_id, ray_submission_id, 'assigned', reserved,
             micro_usd_per_hour, stop_at, steerable
           FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::bigint[],
             $9::timestamptz[], $10::boolean[]) AS new (id, job_id, number, cluster_id, head_lease_id,
             ray_submission_id, reserved, micro_usd_per_hour, stop_at, steerable)`,
    values: [
      attempts.map(attempt => attempt.id),
      attempts.map(attempt => attempt.jobId),
      attempts.map(attempt => attempt.number),
      attempts.map(attempt => attempt.clusterId),
      attempts.map(attempt => attempt.headLeaseId),
      attempts.map(attempt => attempt.raySubmissionId),
      attempts.map(attempt => JSON.stringify(attempt.reserved)),
      attempts.map(attempt => attempt.microUsdPerHour),
      attempts.map(attempt => attempt.stopAt),
      attempts.map(attempt => attempt.steerable),
    ],
  });
}

interface SubmissionId {
  clusterId: ClusterId;
  id: string;
}

/** Reserves ids on clusters for good. For each whether it could: it has been used there otherwise. */
export async function takeRaySubmissionIds(tx: Transaction, wanted: SubmissionId[]): Promise<boolean[]> {
  const { rows } = await tx.query<{ cluster_id: ClusterId; ray_submission_id: string }>({
    name: 'take-ray-submission-ids',
    text: `INSERT INTO ray_submission_ids (cluster_id, ray_submission_id) SELECT * FROM unnest($1::text[], $2::text[])
           ON CONFLICT DO NOTHING RETURNING cluster_id, ray_submission_id`,
    values: [wanted.map(({ clusterId }) => clusterId), wanted.map(({ id }) => id)],
  });
  const taken = new Set(rows.map(row => `${row.cluster_id} ${row.ray_submission_id}`));
  // Of two that want the same one, the first has it.
  return wanted.map(({ clusterId, id }) => taken.delete(`${clusterId} ${id}`));
}

const columns = `id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, reported, evict_reason, evict_cause,
  sent_at, started_at, micro_usd_per_hour, stop_at`;

export const loadAttempt = lookUp<AttemptId, AttemptRow>(async (db, ids) => {
  const { rows } = await db.query<AttemptRow>({
    name: 'load-attempts',
    text: `SELECT ${columns} FROM job_attempts WHERE id = ANY($1)`,
    values: [ids],
  });
  return inOrderOf(ids, rows, row => row.id);
});

/** Whoever locks several does so in one order, after their jobs where it locks those. */
export async function lockAttempts(tx: Transaction, ids: AttemptId[]): Promise<Map<AttemptId, AttemptRow>> {
  const { rows } = await tx.query<AttemptRow>({
    name: 'lock-attempts',
    text: `SELECT ${columns} FROM job_attempts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`,
    values: [ids],
  });
  return new Map(rows.map(row => [row.id, row]));
}

export async function liveAttempts(db: Queryable): Promise<AttemptId[]> {
  const { rows } = await db.query<{ id: AttemptId }>({
    name: 'live-attempts',
    text: `SELECT id FROM job_attempts WHERE phase <> 'ended'`,
  });
  return rows.map(row => row.id);
}

/** Of live attempts, those that began in the last seconds, and those that are to stop, to move or to be ended. */
export async function attemptsWithNews(
  db: Queryable,
  seconds: number,
): Promise<{ begun: AttemptId[]; told: AttemptId[] }> {
  const { rows } = await db.query<{ id: AttemptId; told: boolean }>({
    name: 'attempts-with-news',
    text: `SELECT id, false AS told FROM job_attempts
           WHERE phase <> 'ended' AND started_at > now() - make_interval(secs => $1)
           UNION ALL
           SELECT id, true FROM job_attempts
           WHERE phase <> 'ended' AND (evict_reason IS NOT NULL OR reported IS NOT NULL)
           UNION ALL
           SELECT a.id, true FROM jobs j JOIN job_attempts a ON a.job_id = j.id AND a.phase <> 'ended'
           WHERE j.phase = 'stopping'`,
    values: [seconds],
  });
  const ids = (told: boolean) => rows.filter(row => row.told === told).map(row => row.id);
  return { begun: ids(false), told: ids(true) };
}

/** Another id for an attempt whose own is taken on the head by a job that is not ours. */
export async function renameAttempt(db: Database, attempt: AttemptRow, raySubmissionId: string): Promise<boolean> {
  return db.transaction(async tx => {
    const [free] = await takeRaySubmissionIds(tx, [{ clusterId: attempt.cluster_id, id: raySubmissionId }]);
    if (!free) return false;
    const { rowCount } = await tx.query(
      `UPDATE job_attempts SET ray_submission_id = $2 WHERE id = $1 AND phase = 'assigned'`,
      [attempt.id, raySubmissionId],
    );
    return rowCount === 1;
  });
}

/** To be called before the job is handed to its head. False when the attempt has ended: then it must not be. */
export const markSent = together(async (db: Queryable, ids: AttemptId[]) => {
  const { rows } = await db.query<{ id: AttemptId }>({
    name: 'mark-attempts-sent',
    text: `UPDATE job_attempts SET sent_at = coalesce(sent_at, now())
           WHERE id IN (SELECT id FROM job_attempts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE) AND phase <> 'ended'
           RETURNING id`,
    values: [ids],
  });
  const marked = new Set(rows.map(row => row.id));
  return ids.map(id => marked.has(id));
});

/** The head's last word; it outlives this process and the head while the log is still being read. */
export async function reportEnd(db: Queryable, id: AttemptId, details: RayJobDetails): Promise<void> {
  await db.query(`UPDATE job_attempts SET reported = $2 WHERE id = $1 AND phase <> 'ended'`, [
    id,
    JSON.stringify(details),
  ]);
}

export interface AttemptEnd {
  outcome: 'succeeded' | 'failed' | 'stopped' | 'lost' | 'evicted';
  message: string;
  errorType: string | null;
  details: RayJobDetails | null;
}

/**
 * Ends an attempt and moves its job on, in one transaction that only one of all who try can commit. Returns the job as
 * it is then, or null when the attempt had ended before. `note` is part of the transaction: it gets the job as it was.
 */
export async function endAttempt(
  db: Database,
  attempt: AttemptRow,
  end: AttemptEnd,
  now: Date,
  note: (tx: Transaction, job: JobRow) => Promise<void>,
): Promise<JobRow | null> {
  return db.transaction(async tx => {
    const job = await lockJob(tx, attempt.job_id);
    if (!job) return null;
    const ended = await tx.query(
      `UPDATE job_attempts SET phase = 'ended', outcome = $2, message = $3, ended_at = $4, log_complete = true
       WHERE id = $1 AND phase <> 'ended'`,
      [attempt.id, end.outcome, withoutNul(end.message), now],
    );
    if (ended.rowCount !== 1) return null;
    countEnd(tx, attempt, end, now);
    await tx.query('UPDATE ray_submission_ids SET ended_at = $3 WHERE cluster_id = $1 AND ray_submission_id = $2', [
      attempt.cluster_id,
      attempt.ray_submission_id,
      now,
    ]);
    const policy = retryPolicyOf(job.submission.metadata);
    const overBudget = end.outcome === 'evicted' && attempt.evict_cause === 'budget' && job.phase !== 'stopping';
    const event = overBudget ? 'fail' : jobEventOf(end.outcome, job, policy);
    const phase = nextJobPhase(job.phase, event);
    if (phase === null) throw new Error(`job ${job.id} cannot have '${event}' while it is ${job.phase}`);
    const facts = end.details ? factsOf(end.details) : job.ray_facts;
    const again = phase === 'queued';
    const counted = job.attempt_count - job.evicted_count;
    const pauseMs = end.outcome === 'evicted' ? 0 : retryDelayMs(policy, counted);
    const next = await changeJob(tx, job, {
      phase,
      message: overBudget ? end.message : messageOf(phase, end, job, new Date(now.getTime() + pauseMs)),
      spent_micro_usd: job.spent_micro_usd + costOf(attempt, now),
      evicted_count: job.evicted_count + (end.outcome === 'evicted' ? 1 : 0),
      error_type: phase === 'failed' ? end.errorType : null,
      ray_facts: again ? null : facts,
      ray_job_id: again ? null : (facts?.job_id ?? job.ray_job_id),
      started_at: again ? null : job.started_at,
      not_before: again ? new Date(now.getTime() + pauseMs) : job.not_before,
      ended_at: again ? null : now,
    });
    await note(tx, job);
    await recordJobEvent(tx, job, eventReason[phase] ?? 'JobChanged', next.message, again ? 'warning' : 'info');
    await wake(tx, 'dispatch', 'all');
    // Its idle time may begin.
    await wake(tx, 'cluster', attempt.cluster_id);
    return next;
  });
}

/** Nothing is charged past the time by which its budget has it ended. */
function costOf({ micro_usd_per_hour: price, started_at: start, stop_at: stop }: AttemptRow, now: Date): number {
  const last = stop === null ? Number.POSITIVE_INFINITY : stop.getTime() + defaultQueueTerms.graceMs;
  return costMicroUsd(price, Math.max(0, Math.min(now.getTime(), last) - start.getTime()));
}

const eventReason: Partial<Record<JobRow['phase'], string>> = {
  queued: 'JobRequeued',
  succeeded: 'JobSucceeded',
  failed: 'JobFailed',
  stopped: 'JobStopped',
};

type JobFacts = Pick<JobRow, 'phase' | 'attempt_count' | 'evicted_count' | 'max_attempts'>;

/** What the end of its attempt is to the job. Pure. */
export function jobEventOf(outcome: AttemptEnd['outcome'], job: JobFacts, policy: Pick<RetryPolicy, 'on'>): JobEvent {
  if (outcome === 'succeeded') return 'succeed';
  if (outcome === 'stopped') return 'stopped';
  if (outcome === 'evicted') return 'evicted';
  const retried = policy.on.includes(outcome === 'lost' ? 'infrastructure' : 'error');
  if (outcome === 'failed' && !retried) return 'fail';
  return retried && job.attempt_count - job.evicted_count < job.max_attempts ? 'attemptLost' : 'attemptsExhausted';
}

function messageOf(phase: JobRow['phase'], end: AttemptEnd, job: JobRow, retryAt: Date): string {
  if (phase === 'stopped') return end.outcome === 'stopped' ? end.message : 'Job was intentionally stopped.';
  if (end.outcome === 'evicted') return `Moved: ${end.message} The job waits for another place.`;
  if (end.outcome === 'lost' || phase === 'queued') {
    const which = `Attempt ${job.attempt_count - job.evicted_count} of ${job.max_attempts}`;
    const what = `${which} ${end.outcome === 'lost' ? 'was lost' : 'failed'}: ${end.message}`;
    return phase === 'queued' ? `${what} The job runs again from ${retryAt.toISOString()} on.` : what;
  }
  return end.message;
}
