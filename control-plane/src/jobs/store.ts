/** The table `jobs`: each change of a row renders what Ray's list says of it in the same statement. */
import type { ClusterId, JobId, JobPhase, RayJobSubmission, Scheduling, TenantId } from '@iocloud/contracts';
import { defaultOrderTerms, type JobMemory, type Needs, rankMs } from '../core/queueing/index.js';
import { recordEvents } from '../events/index.js';
import { inOrderOf, lookUp, type Queryable, type Transaction } from '../platform/index.js';
import { countChanges } from './metrics.js';
import { type RayFacts, renderRayView } from './ray-view.js';
import { tellOfChanges } from './tracing.js';

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
  /** As the caller's call carried it; null: it carried none. */
  trace_parent: string | null;
}

const columns = `id, tenant_id, submission_id, submission, needs, scheduling, queue_at, wanted_cluster, packages, phase, message,
  error_type, max_attempts, attempt_count, evicted_count, spent_micro_usd, queue_memory, cluster_id, ray_job_id, ray_facts,
  submitted_at, not_before, started_at, ended_at, trace_parent`;

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

/** One column of the job that has this name, as `findJob` finds it. */
const columnOf = <Value>(column: 'id' | 'ray_view') =>
  lookUp<{ tenantId: TenantId; id: string }, { value: Value | null }>(async (db, keys) => {
    const { rows } = await db.query<{ value: Value | null }>({
      name: `find-${column}`,
      text: `SELECT (SELECT ${column} FROM jobs j
               WHERE j.tenant_id = k.tenant_id AND (submission_id = k.id OR ray_job_id = k.id)
               ORDER BY submission_id = k.id DESC, submitted_at DESC LIMIT 1) AS value
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (tenant_id, id, place) ORDER BY place`,
      values: [keys.map(key => key.tenantId), keys.map(key => key.id)],
    });
    return rows;
  }, viewSpacingMs);
const findView = columnOf<string>('ray_view');
const findId = columnOf<JobId>('id');

export async function findRayView(db: Queryable, tenantId: TenantId, id: string): Promise<string | null> {
  return (await findView(db, { tenantId, id }))?.value ?? null;
}

export async function findJobId(db: Queryable, tenantId: TenantId, id: string): Promise<JobId | null> {
  return (await findId(db, { tenantId, id }))?.value ?? null;
}

const listedColumns = [
  'id',
  'submission_id',
  'submission',
  'scheduling',
  'phase',
  'message',
  'cluster_id',
  'attempt_count',
  'spent_micro_usd',
  'submitted_at',
  'not_before',
  'started_at',
  'ended_at',
] as const;
/** As much of a job as a list shows. */
export type ListedJob = Pick<JobRow, (typeof listedColumns)[number]>;

/** Newest first. */
export async function listJobs(
  db: Queryable,
  tenantId: TenantId,
  page: { limit: number; after: { submittedAt: Date; id: string } | null; phase: JobPhase | null },
): Promise<ListedJob[]> {
  const { rows } = await db.query<ListedJob>({
    name: 'list-jobs',
    text: `SELECT ${listedColumns.join(', ')} FROM jobs
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
  return (await lockJobs(tx, [id])).get(id) ?? null;
}

/** Several at once, in one order for all who lock several. */
export async function lockJobs(tx: Transaction, ids: JobId[]): Promise<Map<JobId, JobRow>> {
  const { rows } = await tx.query<JobRow>({
    name: 'lock-jobs',
    text: `SELECT ${columns} FROM jobs WHERE id = ANY($1) ORDER BY id FOR UPDATE`,
    values: [ids],
  });
  return new Map(rows.map(row => [row.id, row]));
}

/** Where a job stands in the queue: the earlier goes first. It stays so while the job waits. */
export const queueAt = (submittedAt: Date, { priority }: Scheduling): Date =>
  new Date(rankMs({ submittedAtMs: submittedAt.getTime(), priorityClass: priority }, defaultOrderTerms));

/** As `lockJobs`, of those that still wait. */
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
  const [next] = await changeJobs(tx, [{ row, changes }]);
  if (!next) throw new Error('one row makes one row');
  return next;
}

/** Writes the changes of locked rows, each row's once. Returns the rows as they are now. */
export async function changeJobs(tx: Transaction, all: { row: JobRow; changes: Changes }[]): Promise<JobRow[]> {
  const rows = all.map(({ row, changes }): JobRow => {
    const next = { ...row, ...changes };
    return { ...next, message: withoutNul(next.message) };
  });
  if (rows.length === 0) return rows;
  const json = (value: unknown) => (value === null ? null : JSON.stringify(value));
  await tx.query({
    name: 'change-jobs',
    text: `UPDATE jobs SET phase = n.phase, message = n.message, error_type = n.error_type, attempt_count = n.attempt_count,
             cluster_id = n.cluster_id, ray_view = n.ray_view, ray_job_id = n.ray_job_id, ray_facts = n.ray_facts,
             not_before = n.not_before, started_at = n.started_at, ended_at = n.ended_at,
             evicted_count = n.evicted_count, spent_micro_usd = n.spent_micro_usd, queue_memory = n.queue_memory
           FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[],
             $9::json[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::int[], $14::bigint[],
             $15::json[]) AS n (id, phase, message, error_type, attempt_count, cluster_id, ray_view, ray_job_id,
             ray_facts, not_before, started_at, ended_at, evicted_count, spent_micro_usd, queue_memory)
           WHERE jobs.id = n.id`,
    values: [
      rows.map(row => row.id),
      rows.map(row => row.phase),
      rows.map(row => row.message),
      rows.map(row => row.error_type),
      rows.map(row => row.attempt_count),
      rows.map(row => row.cluster_id),
      rows.map(viewOf),
      rows.map(row => row.ray_job_id),
      rows.map(row => json(row.ray_facts)),
      rows.map(row => row.not_before),
      rows.map(row => row.started_at),
      rows.map(row => row.ended_at),
      rows.map(row => row.evicted_count),
      rows.map(row => row.spent_micro_usd),
      rows.map(row => json(row.queue_memory)),
    ],
  });
  const changes = all.map(({ row: before }, index) => ({ before, after: rows[index] ?? before }));
  countChanges(tx, changes);
  tellOfChanges(tx, changes);
  return rows;
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

export interface JobNews {
  job: Pick<JobRow, 'tenant_id' | 'submission_id'>;
  reason: string;
  message: string;
  severity?: 'info' | 'warning';
}

export async function recordJobEvents(tx: Transaction, events: JobNews[]): Promise<void> {
  if (events.length === 0) return;
  await recordEvents(
    tx,
    events.map(({ job, reason, message, severity = 'info' }) => ({
      tenantId: job.tenant_id,
      subjectKind: 'job',
      subject: job.submission_id,
      reason,
      message: withoutNul(message),
      severity,
    })),
  );
}

export const recordJobEvent = (
  tx: Transaction,
  job: JobNews['job'],
  reason: string,
  message: string,
  severity: 'info' | 'warning' = 'info',
): Promise<void> => recordJobEvents(tx, [{ job, reason, message, severity }]);
