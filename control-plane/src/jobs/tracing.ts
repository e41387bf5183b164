/** Tells of jobs as spans once what they tell of has been committed; core/tracing says which. */
import {
  type AttemptFacts,
  idsOf,
  type JobFacts,
  type JobSpan,
  type SpansWhen,
  spansOf,
} from '../core/tracing/index.js';
import { afterCommit, type Database, type Logger, type Transaction } from '../platform/index.js';
import type { JobRow } from './store.js';
import { hash, traceOfJob } from './trace-ids.js';

export type TellSpans = (spans: readonly JobSpan[]) => void;

interface News {
  job: JobRow;
  when: SpansWhen;
}

type Listener = (news: readonly News[]) => void;
const listeners = new Set<Listener>();

interface Change {
  before: JobRow;
  after: JobRow;
}

/** Costs nothing where nobody traces. */
export function tellOfChanges(tx: Transaction, changes: readonly Change[]): void {
  if (listeners.size === 0) return;
  const news = changes.flatMap(change => newsOf(change).map(when => ({ job: change.after, when })));
  if (news.length === 0) return;
  afterCommit(tx, () => {
    for (const listener of listeners) listener(news);
  });
}

export function newsOf({
  before,
  after,
}: {
  before: Pick<JobRow, 'phase'>;
  after: Pick<JobRow, 'phase' | 'ended_at'>;
}) {
  if (before.phase === after.phase) return [];
  const news: SpansWhen[] = [];
  if (after.phase === 'assigned') news.push('assigned');
  if (after.phase === 'running') news.push('running');
  const hadAttempt = before.phase !== 'queued';
  if (hadAttempt && (after.phase === 'queued' || after.ended_at !== null)) news.push('attemptEnded');
  if (after.ended_at !== null) news.push('jobEnded');
  return news;
}

/** So many wait to be told of at most; who traces loses spans before anybody waits for them. */
const mostWaiting = 10_000;
const atOnce = 200;

export class JobTraces {
  #waiting: News[] = [];
  #telling: Promise<void> | undefined;
  readonly #listener: Listener = news => this.#hear(news);

  constructor(
    readonly database: Database,
    readonly tell: TellSpans,
    readonly log: Logger,
  ) {
    listeners.add(this.#listener);
  }

  /** Resolves when all has been told that has been heard of. */
  async stop(): Promise<void> {
    listeners.delete(this.#listener);
    await this.#telling;
  }

  #hear(news: readonly News[]): void {
    this.#waiting.push(...news.slice(0, Math.max(0, mostWaiting - this.#waiting.length)));
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined;
    });
  }

  async #tellAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const news = this.#waiting.splice(0, atOnce);
      try {
        const attempts = await attemptsOf(this.database, [...new Set(news.map(({ job }) => job.id))]);
        for (const { job, when } of news) {
          // Another may have begun meanwhile.
          const own = (attempts.get(job.id) ?? []).filter(({ number }) => number <= job.attempt_count);
          this.tell(spansOf(factsOf(job, own), when, hash));
        }
      } catch (error) {
        this.log.warn({ err: error, jobs: news.length }, 'the traces of jobs could not be told');
      }
    }
  }
}

/** From the call of a submission to its answer; it belongs to the job that came of it. */
export function submitSpan(
  job: Pick<JobRow, 'id' | 'trace_parent'>,
  tenantId: string,
  submissionId: string,
  startedAt: Date,
): JobSpan & { parentId: string } {
  return {
    service: 'iocloud-control-plane',
    name: 'submit',
    traceId: traceOfJob(job).traceId,
    spanId: idsOf(hash, `${job.id} submit`).spanId,
    parentId: idsOf(hash, `${job.id} job`).spanId,
    startedAt,
    endedAt: new Date(),
    failed: null,
    attributes: { 'iocloud.job': job.id, 'iocloud.submission_id': submissionId, 'iocloud.tenant': tenantId },
  };
}

const factsOf = (job: JobRow, attempts: AttemptFacts[]): JobFacts => ({
  ...traceOfJob(job),
  id: job.id,
  tenantId: job.tenant_id,
  submissionId: job.submission_id,
  priority: job.scheduling.priority,
  submittedAt: job.submitted_at,
  endedAt: job.ended_at,
  phase: job.phase,
  message: job.message,
  attempts,
});

interface Row {
  job_id: string;
  id: string;
  number: number;
  cluster_id: string;
  head_lease_id: string;
  started_at: Date;
  sent_at: Date | null;
  running_at: Date | null;
  ended_at: Date | null;
  outcome: string | null;
  message: string | null;
  evict_cause: string | null;
  cluster_created_at: Date;
  cluster_ready_at: Date | null;
  origin: string;
  node_id: string;
  head_created_at: Date;
  head_ready_at: Date | null;
}

async function attemptsOf(database: Database, jobIds: string[]): Promise<Map<string, AttemptFacts[]>> {
  const { rows } = await database.query<Row>({
    name: 'attempts-to-trace',
    text: `SELECT a.job_id, a.id, a.number, a.cluster_id, a.head_lease_id, a.started_at, a.sent_at, a.running_at, a.ended_at,
             a.outcome, a.message, a.evict_cause, c.created_at AS cluster_created_at, c.ready_at AS cluster_ready_at,
             c.origin, l.node_id, l.created_at AS head_created_at, l.ready_at AS head_ready_at
           FROM job_attempts a JOIN clusters c ON c.id = a.cluster_id JOIN leases l ON l.id = a.head_lease_id
           WHERE a.job_id = ANY($1) ORDER BY a.job_id, a.number`,
    values: [jobIds],
  });
  const found = new Map<string, AttemptFacts[]>();
  for (const row of rows) {
    const list = found.get(row.job_id) ?? [];
    found.set(row.job_id, list);
    list.push({
      id: row.id,
      number: row.number,
      clusterId: row.cluster_id,
      nodeId: row.node_id,
      assignedAt: row.started_at,
      sentAt: row.sent_at,
      runningAt: row.running_at,
      endedAt: row.ended_at,
      outcome: row.outcome,
      message: row.message,
      evictCause: row.evict_cause,
      cluster: { createdAt: row.cluster_created_at, readyAt: row.cluster_ready_at, origin: row.origin },
      head: { id: row.head_lease_id, createdAt: row.head_created_at, readyAt: row.head_ready_at },
    });
  }
  return found;
}
