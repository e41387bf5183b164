/** What happens to jobs, counted when it has been committed; and what there is of them, read from the database. */
import { priorityClasses } from '@iocloud/contracts';
import {
  afterCommit,
  counter,
  Durations,
  gauge,
  type Queryable,
  type StateSource,
  setAll,
  type Transaction,
  waitBuckets,
} from '../platform/index.js';
import type { AttemptEnd, AttemptRow } from './attempts/store.js';
import type { JobRow } from './store.js';
import { traceOfJob } from './trace-ids.js';

const live = gauge('iocloud_jobs', 'Live jobs', ['phase', 'priority']);
const oldest = gauge('iocloud_jobs_oldest_age_seconds', 'Age since submission of the oldest', ['phase', 'priority']);
const longestWait = gauge('iocloud_jobs_oldest_wait_seconds', 'Of the job that has waited the longest', ['priority']);
const submitted = counter('iocloud_jobs_submitted_total', 'Jobs taken in', ['priority']);
const finished = counter('iocloud_jobs_finished_total', 'Jobs that came to their end', ['outcome', 'priority']);
const queueWait = new Durations(
  'iocloud_job_queue_wait_seconds',
  'From submission to the first place',
  ['priority'],
  waitBuckets,
);
const startLatency = new Durations(
  'iocloud_job_start_latency_seconds',
  'From submission to running, of the first attempt',
  ['priority'],
  waitBuckets,
);
const begun = counter('iocloud_job_attempts_started_total', 'Attempts that were given a place', ['number']);
const ended = counter('iocloud_job_attempts_ended_total', 'Attempts that ended', ['outcome']);
const attemptDuration = new Durations(
  'iocloud_job_attempt_duration_seconds',
  'From its place to its end',
  ['outcome'],
  waitBuckets,
);
const evictions = counter('iocloud_job_evictions_total', 'Attempts that were asked to move or to end', ['cause']);
const migrations = new Durations(
  'iocloud_job_migration_duration_seconds',
  'From being asked to move to running elsewhere',
  ['cause'],
  waitBuckets,
);

const livePhases = ['queued', 'assigned', 'running', 'stopping'] as const;
const secondsSince = (from: Date, to: Date) => (to.getTime() - from.getTime()) / 1_000;

export function countSubmitted(tx: Transaction, jobs: readonly Pick<JobRow, 'scheduling'>[]): void {
  afterCommit(tx, () => {
    for (const { scheduling } of jobs) submitted.inc({ priority: scheduling.priority });
  });
}

/** Of each row how it was and how it is now. */
export function countChanges(tx: Transaction, changes: readonly { before: JobRow; after: JobRow }[]): void {
  const moved = changes.filter(({ before, after }) => before.phase !== after.phase);
  if (moved.length === 0) return;
  afterCommit(tx, () => {
    for (const { before, after } of moved) countMove(before, after);
  });
}

function countMove(before: JobRow, after: JobRow): void {
  const { priority } = after.scheduling;
  const now = new Date();
  const isFirst = after.attempt_count === 1;
  if (after.phase === 'assigned') {
    begun.inc({ number: isFirst ? 'first' : 'later' });
    if (isFirst) queueWait.observe({ priority }, secondsSince(after.submitted_at, now));
  }
  if (after.phase === 'running' && after.started_at && isFirst) {
    startLatency.observe({ priority }, secondsSince(after.submitted_at, after.started_at), traceOfJob(after).traceId);
  }
  if (after.ended_at && !before.ended_at) finished.inc({ outcome: after.phase, priority });
}

export function countEnd(tx: Transaction, attempt: AttemptRow, { outcome }: AttemptEnd, now: Date): void {
  afterCommit(tx, () => {
    ended.inc({ outcome });
    attemptDuration.observe({ outcome }, secondsSince(attempt.started_at, now));
  });
}

export const countEviction = (tx: Transaction, cause: string): void => afterCommit(tx, () => evictions.inc({ cause }));

/** Jobs that run again: those of them that were moved, by when they had been asked to. */
export async function countMigrations(tx: Transaction, begun: readonly { job: JobRow; now: Date }[]): Promise<void> {
  const again = begun.filter(({ job }) => job.attempt_count > 1);
  if (again.length === 0) return;
  const { rows } = await tx.query<{ job_id: string; cause: string; asked: Date }>({
    name: 'asked-to-move',
    text: `SELECT a.job_id, a.evict_cause AS cause, a.evict_asked_at AS asked
           FROM unnest($1::text[], $2::int[]) AS j (id, number)
           JOIN job_attempts a ON a.job_id = j.id AND a.number = j.number - 1
           WHERE a.outcome = 'evicted' AND a.evict_asked_at IS NOT NULL`,
    values: [again.map(({ job }) => job.id), again.map(({ job }) => job.attempt_count)],
  });
  const byId = new Map<string, (typeof again)[number]>(again.map(one => [one.job.id, one]));
  afterCommit(tx, () => {
    for (const { job_id, cause, asked } of rows) {
      const one = byId.get(job_id);
      if (one) migrations.observe({ cause }, secondsSince(asked, one.now), traceOfJob(one.job).traceId);
    }
  });
}

export const jobState: StateSource = {
  name: 'jobs',
  read: async db => {
    const rows = await liveJobs(db);
    const found = new Map(rows.map(row => [`${row.phase} ${row.priority}`, row]));
    const all = livePhases.flatMap(phase =>
      priorityClasses.map(priority => ({ labels: { phase, priority }, row: found.get(`${phase} ${priority}`) })),
    );
    setAll(
      live,
      all.map(({ labels, row }) => ({ labels, value: row?.jobs ?? 0 })),
    );
    setAll(
      oldest,
      all.map(({ labels, row }) => ({ labels, value: row?.age ?? 0 })),
    );
    setAll(
      longestWait,
      priorityClasses.map(priority => ({ labels: { priority }, value: found.get(`queued ${priority}`)?.wait ?? 0 })),
    );
  },
};

async function liveJobs(db: Queryable) {
  const { rows } = await db.query<{ phase: string; priority: string; jobs: number; age: number; wait: number }>({
    name: 'count-live-jobs',
    text: `SELECT phase, coalesce(scheduling->>'priority', 'normal') AS priority, count(*)::int AS jobs,
             extract(epoch FROM now() - min(submitted_at))::float8 AS age,
             greatest(0, extract(epoch FROM now() - min(greatest(submitted_at, not_before))))::float8 AS wait
           FROM jobs WHERE phase NOT IN ('succeeded', 'failed', 'stopped') GROUP BY 1, 2`,
  });
  return rows;
}
