/** The table `jobs`: each change of a row renders what Ray's list says of it in the same statement. */
import type { ClusterId, JobId, JobPhase, RayJobSubmission, Scheduling, TenantId } from '@iocloud/contracts';
import { defaultOrderTerms, type JobMemory, type Needs, rankMs } from '../core/queueing/index.js';
import { recordEvent } from '../events/index.js';
import { inOrderOf, lookUp, type Queryable, type Transaction } from '../platform/index.js';
import { type RayFacts, renderRayView } from './ray-view.js';

export type RandomBytes = (n: number) => Buffer;

export interface JobRow {
  id: JobId;
  tenant_id: TenantId;
  submission_id: string;
  submission: RayJobSubmission;
  needs: Needs;
  scheduling: Scheduling;
  queue_at: Date;
  wanted_cluster: string | null;
  packages: string[];
  phase: JobPhase;
  message: string;
  error_type: string | null;
  max_attempts: number;
  attempt_count: number;
  /** Of its attempts, those that were moved away. */
  evicted_count: number;
  /** By attempts that have ended. */
  spent_micro_usd: number;
  /** What the scheduler must know of it beyond all this while it waits. */
  queue_memory: JobMemory | null;
  cluster_id: ClusterId | null;
  ray_job_id: string | null;
  ray_facts: RayFacts | null;
  submitted_at: Date;
  not_before: Date;
  started_at: Date | null;
  ended_at: Date | null;
}

const columns = `id, tenant_id, submission_id, submission, needs, scheduling, queue_at, wanted_cluster, packages, phase, message,
  error_type, max_attempts, attempt_count, evicted_count, spent_micro_usd, queue_memory, cluster_id, ray_job_id, ray_facts,
  submitted_at, not_before, started_at, ended_at`;

function viewOf(row: JobRow): string {
  return renderRayView({
    submissionId: row.submission_id,
    phase: row.phase,
    started: row.started_at !== null,
    entrypoint: row.submission.entrypoint,
    message: row.message,
    errorType: row.error_type,
    metadata: row.submission.metadata ?? null,
    runtimeEnv: row.submission.runtime_env ?? null,
    submittedAt: row.submitted_at,
    endedAt: row.ended_at,
    facts: row.ray_facts,
  });
}

/** What a client that asks while many others do waits at most for their company. */
const viewSpacingMs = 4;

/** PostgreSQL's text has no NUL, and a message may carry any byte that a program wrote. */
export const withoutNul = (text: string) => text.replaceAll('\0', '\uFFFD');

/** By its submission id, or by the hex id that a Ray head gave it (the newest: heads count anew). */
export async function findJob(db: Queryable, tenantId: TenantId, id: string): Promise<JobRow | null> {
  const { rows } = await db.query<JobRow>({
    name: 'find-job',
    text: `SELECT ${columns} FROM jobs WHERE tenant_id = $1 AND (submission_id = $2 OR ray_job_id = $2)
           ORDER BY submission_id = $2 DESC, submitted_at DESC LIMIT 1`,
    values: [tenantId, id],
  });
  return rows[0] ?? null;
}

const findView = lookUp<{ tenantId: TenantId; id: string }, { ray_view: string | null }>(async (db, keys) => {
  const { rows } = await db.query<{ ray_view: string | null }>({
    name: 'find-ray-views',
    text: `SELECT (SELECT ray_view FROM jobs j
             WHERE j.tenant_id = k.tenant_id AND (submission_id = k.id OR ray_job_id = k.id)
             ORDER BY submission_id = k.id DESC, submitted_at DESC LIMIT 1) AS ray_view
           FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (tenant_id, id, place) ORDER BY place`,
    values: [keys.map(key => key.tenantId), keys.map(key => key.id)],
  });
  return rows;
}, viewSpacingMs);

export async function findRayView(db: Queryable, tenantId: TenantId, id: string): Promise<string | null> {
  return (await findView(db, { tenantId, id }))?.ray_view ?? null;
}

/** Newest first. */
export async function listJobs(
  db: Queryable,
  tenantId: TenantId,
  page: { limit: number; after: { submittedAt: Date; id: string } | null; phase: JobPhase | null },
): Promise<JobRow[]> {
  const { rows } = await db.query<JobRow>({
    name: 'list-jobs',
    text: `SELECT ${columns} FROM jobs
           WHERE tenant_id = $1 AND ($2::text IS NULL OR phase = $2)
             AND ($3::timestamptz IS NULL OR (submitted_at, id) < ($3, $4))
           ORDER BY submitted_at DESC, id DESC LIMIT $5`,
    values: [tenantId, page.phase, page.after?.submittedAt ?? null, page.after?.id ?? null, page.limit],
  });
  return rows;
}

export const loadJob = lookUp<JobId, JobRow>(async (db, ids) => {
  const { rows } = await db.query<JobRow>({
    name: 'load-jobs',
    text: `SELECT ${columns} FROM jobs WHERE id = ANY($1)`,
    values: [ids],
  });
  return inOrderOf(ids, rows, row => row.id);
});

export async function lockJob(tx: Transaction, id: JobId): Promise<JobRow | null> {
  const { rows } = await tx.query<JobRow>({
    name: 'lock-job',
    text: `SELECT ${columns} FROM jobs WHERE id = $1 FOR UPDATE`,
    values: [id],
  });
  return rows[0] ?? null;
}

/** Where a job stands in the queue: the earlier goes first. It stays so while the job waits. */
export const queueAt = (submittedAt: Date, { priority }: Scheduling): Date =>
  new Date(rankMs({ submittedAtMs: submittedAt.getTime(), priorityClass: priority }, defaultOrderTerms));

/** Several at once, in one order for all who lock several. */
export async function lockQueuedJobs(tx: Transaction, ids: JobId[]): Promise<Map<JobId, JobRow>> {
  const { rows } = await tx.query<JobRow>({
    name: 'lock-queued-jobs',
    text: `SELECT ${columns} FROM jobs WHERE id = ANY($1) AND phase = 'queued' ORDER BY id FOR UPDATE`,
    values: [ids],
  });
  return new Map(rows.map(row => [row.id, row]));
}

type Asked = 'submission' | 'needs' | 'scheduling' | 'queue_at' | 'wanted_cluster' | 'max_attempts';
type Changes = Partial<Omit<JobRow, 'id' | 'tenant_id' | 'submission_id' | 'packages' | 'submitted_at' | Asked>>;

/** Writes a locked row's changes. Returns the row as it is now. */
export async function changeJob(tx: Transaction, row: JobRow, changes: Changes): Promise<JobRow> {
  const next: JobRow = { ...row, ...changes };
  next.message = withoutNul(next.message);
  await tx.query({
    name: 'change-job',
    text: `UPDATE jobs SET phase = $2, message = $3, error_type = $4, attempt_count = $5, cluster_id = $6,
             ray_view = $7, ray_job_id = $8, ray_facts = $9, not_before = $10, started_at = $11, ended_at = $12, evicted_count = $13,
             spent_micro_usd = $14, queue_memory = $15
           WHERE id = $1`,
    values: [
      next.id,
      next.phase,
      next.message,
      next.error_type,
      next.attempt_count,
      next.cluster_id,
      viewOf(next),
      next.ray_job_id,
      next.ray_facts === null ? null : JSON.stringify(next.ray_facts),
      next.not_before,
      next.started_at,
      next.ended_at,
      next.evicted_count,
      next.spent_micro_usd,
      next.queue_memory === null ? null : JSON.stringify(next.queue_memory),
    ],
  });
  return next;
}

/** Writes what the user now asks of a locked job that waits. Returns the row as it is now. */
export async function changeAsked(tx: Transaction, row: JobRow, asked: Pick<JobRow, Asked>): Promise<JobRow> {
  const next: JobRow = { ...row, ...asked };
  await tx.query({
    name: 'change-asked',
    text: `UPDATE jobs SET submission = $2, needs = $3, scheduling = $4, queue_at = $5, wanted_cluster = $6,
             max_attempts = $7, ray_view = $8, queue_memory = NULL WHERE id = $1`,
    values: [
      next.id,
      JSON.stringify(next.submission),
      JSON.stringify(next.needs),
      JSON.stringify(next.scheduling),
      next.queue_at,
      next.wanted_cluster,
      next.max_attempts,
      viewOf(next),
    ],
  });
  return next;
}

export async function deleteJob(tx: Transaction, id: JobId): Promise<void> {
  await tx.query({ name: 'delete-job', text: 'DELETE FROM jobs WHERE id = $1', values: [id] });
}

export function recordJobEvent(
  tx: Transaction,
  job: Pick<JobRow, 'tenant_id' | 'submission_id'>,
  reason: string,
  message: string,
  severity: 'info' | 'warning' = 'info',
): Promise<void> {
  return recordEvent(tx, {
    tenantId: job.tenant_id,
    subjectKind: 'job',
    subject: job.submission_id,
    reason,
    message: withoutNul(message),
    severity,
  });
}
