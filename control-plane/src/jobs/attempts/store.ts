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
import { type Database, inOrderOf, lookUp, type Queryable, type Transaction, wake } from '../../platform/index.js';
import type { RayFacts } from '../ray-view.js';
import { type JobEvent, nextAttemptPhase, nextJobPhase } from '../states.js';
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

export async function insertAttempt(tx: Transaction, attempt: NewAttempt): Promise<void> {
  await tx.query({
    name: 'insert-attempt',
    text: `INSERT INTO job_attempts (id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, reserved,
             micro_usd_per_hour, stop_at, steerable)
           VALUES ($1, $2, $3, $4, $5, $6, 'assigned', $7, $8, $9, $10)`,
    values: [
      attempt.id,
      attempt.jobId,
      attempt.number,
      attempt.clusterId,
      attempt.headLeaseId,
      attempt.raySubmissionId,
      JSON.stringify(attempt.reserved),
      attempt.microUsdPerHour,
      attempt.stopAt,
      attempt.steerable,
    ],
  });
}

/** Reserves an id on a cluster for good. False when it has been used there. */
export async function takeRaySubmissionId(tx: Transaction, clusterId: ClusterId, id: string): Promise<boolean> {
  const { rowCount } = await tx.query({
    name: 'take-ray-submission-id',
    text: `INSERT INTO ray_submission_ids (cluster_id, ray_submission_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
    values: [clusterId, id],
  });
  return rowCount === 1;
}

export const loadAttempt = lookUp<AttemptId, AttemptRow>(async (db, ids) => {
  const { rows } = await db.query<AttemptRow>({
    name: 'load-attempts',
    text: `SELECT id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, reported, evict_reason,
             evict_cause, sent_at, started_at, micro_usd_per_hour, stop_at FROM job_attempts WHERE id = ANY($1)`,
    values: [ids],
  });
  return inOrderOf(ids, rows, row => row.id);
});

export async function liveAttempts(db: Queryable): Promise<AttemptId[]> {
  const { rows } = await db.query<{ id: AttemptId }>(`SELECT id FROM job_attempts WHERE phase <> 'ended'`);
  return rows.map(row => row.id);
}

/** Another id for an attempt whose own is taken on the head by a job that is not ours. */
export async function renameAttempt(db: Database, attempt: AttemptRow, raySubmissionId: string): Promise<boolean> {
  return db.transaction(async tx => {
    if (!(await takeRaySubmissionId(tx, attempt.cluster_id, raySubmissionId))) return false;
    const { rowCount } = await tx.query(
      `UPDATE job_attempts SET ray_submission_id = $2 WHERE id = $1 AND phase = 'assigned'`,
      [attempt.id, raySubmissionId],
    );
    return rowCount === 1;
  });
}

/** To be called before the job is handed to its head. False when the attempt has ended: then it must not be. */
export async function markSent(db: Queryable, id: AttemptId): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'mark-attempt-sent',
    text: `UPDATE job_attempts SET sent_at = coalesce(sent_at, now()) WHERE id = $1 AND phase <> 'ended'`,
    values: [id],
  });
  return rowCount === 1;
}

/** The head's last word; it outlives this process and the head while the log is still being read. */
export async function reportEnd(db: Queryable, id: AttemptId, details: RayJobDetails): Promise<void> {
  await db.query(`UPDATE job_attempts SET reported = $2 WHERE id = $1 AND phase <> 'ended'`, [
    id,
    JSON.stringify(details),
  ]);
}

/** The head has the job, and perhaps runs it. False when the attempt has ended meanwhile. */
export async function advanceAttempt(
  db: Database,
  attempt: AttemptRow,
  event: 'accepted' | 'started',
  details: RayJobDetails | null,
  now: Date,
): Promise<boolean> {
  return db.transaction(async tx => {
    const job = await lockJob(tx, attempt.job_id);
    const current = await loadAttempt(tx, attempt.id);
    const phase = current ? nextAttemptPhase(current.phase, event) : null;
    if (!job || !current || phase === null) return false;
    await tx.query('UPDATE job_attempts SET phase = $2 WHERE id = $1', [attempt.id, phase]);
    const facts = details ? factsOf(details) : job.ray_facts;
    const jobPhase = event === 'started' ? nextJobPhase(job.phase, 'start') : job.phase;
    const begins = event === 'started' && job.phase === 'assigned' && jobPhase === 'running';
    await changeJob(tx, job, {
      phase: jobPhase ?? job.phase,
      ray_facts: facts,
      ray_job_id: facts?.job_id ?? job.ray_job_id,
      ...(details?.message && job.phase !== 'stopping' ? { message: details.message } : {}),
      ...(event === 'started' ? { started_at: job.started_at ?? now } : {}),
    });
    if (begins) await recordJobEvent(tx, job, 'JobStarted', `attempt ${attempt.number} runs on ${attempt.cluster_id}`);
    return true;
  });
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

function factsOf(details: RayJobDetails): RayFacts {
  return {
    job_id: details.job_id,
    driver_info: details.driver_info,
    driver_agent_http_address: details.driver_agent_http_address,
    driver_node_id: details.driver_node_id,
    driver_exit_code: details.driver_exit_code,
  };
}
