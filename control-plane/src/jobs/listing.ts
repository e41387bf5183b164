/** /v1/jobs: jobs as this control plane sees them. */
import { type Attempt, api, type Job, type JobPhase, type TenantId } from '@iocloud/contracts';
import { countsOf, emptyTally } from '../core/arrays/index.js';
import { type Database, Failure, type Http, type Queryable } from '../platform/index.js';
import { rayStatus } from './ray-view.js';
import { findJob, isArray, type ListedJob, listIndices, listJobs } from './store.js';

interface AttemptRow {
  job_id: string;
  id: Attempt['id'];
  number: number;
  cluster_id: Attempt['clusterId'];
  phase: Attempt['phase'];
  outcome: Attempt['outcome'];
  message: string | null;
  log_bytes: number;
  started_at: Date;
  ended_at: Date | null;
}

export function jobListingRoutes(http: Http, database: Database): void {
  http.handle(api.listJobs, async ({ caller, query }) => {
    if (query.array !== undefined) return indicesOf(database, caller.tenantId, query.array, query);
    const rows = await listJobs(database, caller.tenantId, {
      limit: query.limit,
      after: query.after === undefined ? null : parseCursor(query.after),
      phase: query.phase ?? null,
    });
    const last = rows.at(-1);
    return {
      items: await withAttempts(database, caller.tenantId, rows),
      next: rows.length === query.limit && last ? `${last.submitted_at.getTime()}.${last.id}` : null,
    };
  });

  http.handle(api.getJob, async ({ caller, params }) => {
    const row = await findJob(database, caller.tenantId, params.submissionId);
    const [job] = row ? await withAttempts(database, caller.tenantId, [row]) : [];
    if (!job) throw new Failure('not-found', `no job ${params.submissionId} exists`);
    return job;
  });
}

async function indicesOf(
  database: Database,
  tenantId: TenantId,
  name: string,
  { limit, after, phase }: { limit: number; after?: string | undefined; phase?: JobPhase | undefined },
) {
  const array = await findJob(database, tenantId, name);
  if (!array) throw new Failure('not-found', `no job ${name} exists`);
  if (!isArray(array)) throw new Failure('bad-request', `query.array: ${name} is no array job`);
  if (after !== undefined && !/^\d{1,7}$/.test(after)) throw badCursor();
  const page = { limit, after: after === undefined ? null : Number(after), phase: phase ?? null };
  const rows = await listIndices(database, tenantId, array.id, page);
  const items = await withAttempts(database, tenantId, rows);
  return { items, next: rows.length === limit ? String(rows.at(-1)?.array_index) : null };
}

const badCursor = () => new Failure('bad-request', 'query.after: pass the `next` of the page before as it came');

function parseCursor(text: string): { submittedAt: Date; id: string } {
  const match = /^(\d{1,15})\.(jb_[0-9a-z]{20})$/.exec(text);
  if (!match?.[1] || !match[2]) {
    throw badCursor();
  }
  return { submittedAt: new Date(Number(match[1])), id: match[2] };
}

export async function withAttempts(db: Queryable, tenantId: TenantId, rows: ListedJob[]): Promise<Job[]> {
  const { rows: attempts } = await db.query<AttemptRow>({
    name: 'attempts-of-jobs',
    text: `SELECT a.job_id, a.id, a.number, a.cluster_id, a.phase, a.outcome, a.message, a.log_bytes, a.started_at,
             a.ended_at
           FROM job_attempts a JOIN jobs j ON j.id = a.job_id
           WHERE j.tenant_id = $1 AND a.job_id = ANY($2) ORDER BY a.job_id, a.number`,
    values: [tenantId, rows.map(row => row.id)],
  });
  const byJob = new Map<string, Attempt[]>();
  for (const row of attempts) byJob.set(row.job_id, [...(byJob.get(row.job_id) ?? []), toAttempt(row)]);
  return rows.map(row => toJob(row, byJob.get(row.id) ?? []));
}

function toAttempt(row: AttemptRow): Attempt {
  return {
    id: row.id,
    number: row.number,
    clusterId: row.cluster_id,
    phase: row.phase,
    outcome: row.outcome,
    message: row.message,
    startedAt: row.started_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
    logBytes: row.log_bytes,
  };
}

const arrayOf = (row: ListedJob): Job['array'] => ({
  size: row.array_size ?? 0,
  maxParallel: row.array_max_parallel,
  counts: row.array_counts ?? countsOf(emptyTally),
});

function toJob(row: ListedJob, attempts: Attempt[]): Job {
  return {
    submissionId: row.submission_id,
    phase: row.phase,
    status: rayStatus(row.phase, row.started_at !== null),
    entrypoint: row.submission.entrypoint,
    message: row.message,
    metadata: row.submission.metadata ?? {},
    clusterId: row.cluster_id,
    attempts,
    array: isArray(row) ? arrayOf(row) : null,
    arrayIndex: row.array_index,
    scheduling: row.scheduling,
    spentMicroUsd: row.spent_micro_usd,
    retryAt: row.phase === 'queued' && row.attempt_count > 0 ? row.not_before.toISOString() : null,
    submittedAt: row.submitted_at.toISOString(),
    startedAt: row.started_at?.toISOString() ?? null,
    endedAt: row.ended_at?.toISOString() ?? null,
  };
}
