/** Takes jobs in: a submission is on the disk, with its event and its wake-up, before anybody is told that it is. */
import { type JobId, newId, type TenantId } from '@iocloud/contracts';
import { recordEvents } from '../events/index.js';
import { Batcher, type Database, isRefusedStatement, type Signals, wake } from '../platform/index.js';
import { countSubmitted } from './metrics.js';
import { renderRayView } from './ray-view.js';
import { queueAt, type RandomBytes, withoutNul } from './store.js';
import type { Submission } from './submission.js';

/** The message of a job that nobody has looked at yet. */
const freshMessage = 'Waiting in the queue.';

/** Submissions that are committed together at most; a few hundred bytes each as a rule. */
const maxBatch = 64;

interface NewJob {
  id: JobId;
  tenantId: TenantId;
  submissionId: string;
  submission: Submission;
  packages: string[];
  submittedAt: Date;
  /** Of the caller, if it has a trace. */
  traceParent: string | null;
}

interface Wiring {
  database: Database;
  signals: Signals;
  random: RandomBytes;
  now(): number;
}

export class JobIntake {
  readonly #batches: Batcher<NewJob, boolean>;

  constructor(readonly wiring: Wiring) {
    this.#batches = new Batcher(jobs => this.#insert(jobs), maxBatch, isRefusedStatement);
  }

  /** Null when the tenant has a job with this submission id; then nothing has been done. */
  async take(job: Omit<NewJob, 'id' | 'submittedAt'>): Promise<JobId | null> {
    const { random, now } = this.wiring;
    const id = newId('job', random);
    return (await this.#batches.add({ ...job, id, submittedAt: new Date(now()) })) ? id : null;
  }

  async #insert(jobs: NewJob[]): Promise<boolean[]> {
    const taken = await this.wiring.database.transaction(async tx => {
      const { rows } = await tx.query<{ id: JobId }>({
        name: 'insert-jobs',
        // Packages come as JSON: an array of arrays of unlike lengths is none that PostgreSQL could take apart.
        text: `INSERT INTO jobs (id, tenant_id, submission_id, submission, needs, wanted_cluster, packages, phase, message,
                 max_attempts, ray_view, submitted_at, not_before, scheduling, queue_at, trace_parent)
               SELECT id, tenant_id, submission_id, submission, needs, wanted_cluster,
                 ARRAY(SELECT json_array_elements_text(packages)), 'queued', $8, max_attempts, ray_view, submitted_at,
                 submitted_at, scheduling, queue_at, trace_parent
               FROM unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::json[], $6::text[], $7::json[], $9::int[],
                 $10::text[], $11::timestamptz[], $12::json[], $13::timestamptz[], $14::text[]) AS new (id, tenant_id,
                 submission_id, submission, needs, wanted_cluster, packages, max_attempts, ray_view, submitted_at,
                 scheduling, queue_at, trace_parent)
               -- In one order for everybody, so that no two batches wait for each other.
               ORDER BY tenant_id, submission_id
               ON CONFLICT (tenant_id, submission_id) DO NOTHING RETURNING id`,
        values: [
          jobs.map(job => job.id),
          jobs.map(job => job.tenantId),
          jobs.map(job => job.submissionId),
          jobs.map(job => JSON.stringify(job.submission.body)),
          jobs.map(job => JSON.stringify(job.submission.needs)),
          jobs.map(job => job.submission.wantedCluster),
          jobs.map(job => JSON.stringify(job.packages)),
          freshMessage,
          jobs.map(job => job.submission.maxAttempts),
          jobs.map(viewOfNew),
          jobs.map(job => job.submittedAt),
          jobs.map(job => JSON.stringify(job.submission.scheduling)),
          jobs.map(job => queueAt(job.submittedAt, job.submission.scheduling)),
          jobs.map(job => job.traceParent),
        ],
      });
      const ids = new Set(rows.map(row => row.id));
      if (ids.size > 0) {
        const taken = jobs.filter(job => ids.has(job.id));
        await recordEvents(tx, taken.map(submitted));
        countSubmitted(
          tx,
          taken.map(job => job.submission),
        );
        await wake(tx, 'dispatch', 'all');
      }
      return ids;
    });
    for (const tenantId of new Set(jobs.map(job => job.tenantId))) this.wiring.signals.send(`events:${tenantId}`);
    return jobs.map(job => taken.has(job.id));
  }
}

const submitted = ({ tenantId, submissionId, submission }: NewJob) => ({
  tenantId,
  subjectKind: 'job' as const,
  subject: submissionId,
  reason: 'JobSubmitted',
  message: withoutNul(`submitted: ${submission.entrypoint}`),
});

const viewOfNew = ({ submissionId, submission, submittedAt }: NewJob) =>
  renderRayView({
    submissionId,
    phase: 'queued',
    started: false,
    entrypoint: submission.entrypoint,
    message: freshMessage,
    errorType: null,
    metadata: submission.metadata,
    runtimeEnv: submission.runtimeEnv,
    submittedAt,
    endedAt: null,
    facts: null,
  });
