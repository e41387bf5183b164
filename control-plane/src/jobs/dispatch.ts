/**
 * The scheduler: one at a time among all replicas, it gives queued jobs their places. What goes where, and who stops for
 * whom, is decided by core/queueing; here the decisions are made true, or not at all, in one transaction.
 */
import { isDeepStrictEqual } from 'node:util';
import type { JobId, Requirements, TenantId } from '@iocloud/contracts';
import { type JobDecision, JobQueue, type QueuedJob, withCeiling } from '../core/queueing/index.js';
import {
  afterCommit,
  type Database,
  type Logger,
  type TopicHandler,
  type Transaction,
  wake,
} from '../platform/index.js';
import { assign } from './assignment.js';
import { evictAttempt } from './attempts/index.js';
import { nodeFor } from './needs.js';
import {
  type QueuedRow,
  type ReadScene,
  readQueue,
  roomsAsked,
  SceneReader,
  type SceneWiring,
  toQueued,
} from './scene.js';
import { made, refusals, runs } from './scheduler-metrics.js';
import { changeJobs, type JobRow, lockQueuedJobs, type RandomBytes, recordJobEvent } from './store.js';

/** Any constant, the same for all replicas. */
const schedulerLock = 7_265_010;
/** For how many jobs a run brings clusters up; the next run does it for others. */
const maxProvisions = 16;
/** Money that has come in is seen after so long. */
const unpaidPauseSeconds = 15;
/** At most a quarter of the time is spent on runs, however many ask for one, and nobody waits longer than this for one. */
const restFactor = 3;
const maxRestMs = 500;
/** What time alone changes is looked at no sooner than this; later than the other, the sweep sees to it. */
const soonestMs = 500;
const soonMs = 60_000;

interface Wiring extends SceneWiring {
  database: Database;
  log: Logger;
  random: RandomBytes;
  config: { maxJobsPerCluster: number; rayVersion: string };
}

type Of<Kind extends JobDecision['kind']> = Extract<JobDecision, { kind: Kind }>;

export class Dispatcher implements TopicHandler {
  readonly scenes: SceneReader;
  #nextLook: NodeJS.Timeout | undefined;

  constructor(readonly wiring: Wiring) {
    this.scenes = new SceneReader(wiring);
  }

  async sweep(): Promise<string[]> {
    const { rows } = await this.wiring.database.query(
      `SELECT 1 FROM jobs WHERE phase = 'queued' AND not_before <= now() LIMIT 1`,
    );
    return rows.length > 0 ? ['all'] : [];
  }

  async handle(): Promise<void> {
    const startedMs = performance.now();
    await this.#run();
    // Every submission asks for a run, and a run reads the whole queue: the longer that takes, the rarer it is done.
    const restMs = Math.min(maxRestMs, restFactor * (performance.now() - startedMs));
    await new Promise(resolve => setTimeout(resolve, restMs));
  }

  async #run(): Promise<void> {
    const startedMs = performance.now();
    const nextTimeMs = await this.wiring.database.transaction(async tx => {
      // Waited for, not tried: whoever holds it may have read the queue before our job was in it.
      await tx.query('SELECT pg_advisory_xact_lock($1)', [schedulerLock]);
      const rows = await readQueue(tx);
      return rows.length > 0 || (await this.#hasBudgets(tx)) ? this.#dispatch(tx, rows) : null;
    });
    runs.observe({}, (performance.now() - startedMs) / 1_000);
    await this.#awaitTime(nextTimeMs);
  }

  /** Does anything run that its budget ends? */
  async #hasBudgets(tx: Transaction): Promise<boolean> {
    const { rows } = await tx.query({
      name: 'has-budgets',
      text: `SELECT 1 FROM job_attempts WHERE phase <> 'ended' AND stop_at IS NOT NULL LIMIT 1`,
    });
    return rows.length > 0;
  }

  /** Nobody wakes us when a job's pause or an attempt's budget is over; the sweep would, a while later. */
  async #awaitTime(nextTimeMs: number | null): Promise<void> {
    const { rows } = await this.wiring.database.query<{ ms: number | null }>({
      name: 'next-retry',
      text: `SELECT extract(epoch FROM min(not_before) - now())::float8 * 1000 AS ms FROM jobs
             WHERE phase = 'queued' AND not_before > now()`,
    });
    clearTimeout(this.#nextLook);
    const retryMs = rows[0]?.ms ?? Number.POSITIVE_INFINITY;
    const timeMs = nextTimeMs === null ? Number.POSITIVE_INFINITY : Math.max(soonestMs, nextTimeMs - this.wiring.now());
    const ms = Math.min(retryMs, timeMs);
    if (ms > soonMs) return;
    this.#nextLook = setTimeout(
      () => {
        this.wiring.database
          .transaction(tx => wake(tx, 'dispatch', 'all'))
          .catch((error: unknown) => this.wiring.log.debug({ err: error }, 'a look at the queue is left to the sweep'));
      },
      Math.max(0, ms),
    );
    this.#nextLook.unref();
  }

  stop(): void {
    clearTimeout(this.#nextLook);
  }

  /** When time alone makes a difference next. */
  async #dispatch(tx: Transaction, rows: QueuedRow[]): Promise<number | null> {
    const { scene, decisions, nextTimeMs } = await this.decide(tx, toQueued(rows));
    const of = <Kind extends JobDecision['kind']>(kind: Kind) =>
      decisions.filter((decision): decision is Of<Kind> => decision.kind === kind);
    // Before any cluster is asked for: making room for it releases what is idle, and this is idle no more.
    await assign(tx, this.wiring, of('assign'), scene);
    for (const decision of of('evict')) await this.#evict(tx, decision);
    const { news, unpaid } = await this.#provision(tx, of('provision'), scene);
    await this.#sayWhy(tx, [...of('wait'), ...news], rows);
    if (unpaid.length > 0) await this.#setAside(tx, unpaid);
    afterCommit(tx, () => {
      for (const { kind } of decisions) made.inc({ kind });
    });
    return nextTimeMs;
  }

  /** What a run would do now if these waited, in the transaction's view of the world. Changes nothing. */
  async decide(tx: Transaction, queued: readonly QueuedJob[]) {
    const scene = await this.scenes.read(tx, queued);
    const nowMs = this.wiring.now();
    const queue = new JobQueue(scene, this.wiring.config);
    const decided = queue.decide(nowMs);
    if (!decided.asksForMachines) return { scene, queue, ...decided };
    const asked = roomsAsked(scene, this.wiring.config.rayVersion);
    const whole = { ...scene, ...(await this.wiring.clusters.rooms(tx, asked)) };
    const again = new JobQueue(whole, this.wiring.config);
    return { scene: whole, queue: again, ...again.decide(nowMs) };
  }

  async #evict(tx: Transaction, { jobId, attemptId, stop }: Of<'evict'>): Promise<void> {
    const { rows } = await tx.query<Pick<JobRow, 'tenant_id' | 'submission_id' | 'scheduling'>>(
      'SELECT tenant_id, submission_id, scheduling FROM jobs WHERE id = $1',
      [jobId],
    );
    const job = rows[0];
    const reason = {
      preempted: 'more urgent work needs its place.',
      reclaimed: 'a tenant that had lent what it uses needs that back.',
      budget: `its budget of ${dollars(job?.scheduling.budgetMicroUsd ?? 0)} is spent.`,
    }[stop.why];
    const eviction = {
      cause: stop.why,
      forJob: stop.forId as JobId | null,
      reason,
      deadline: new Date(stop.graceUntilMs),
    };
    if (!job || !(await evictAttempt(tx, attemptId, eviction))) return;
    const event = stop.why === 'budget' ? 'JobBudgetSpent' : 'JobPreempted';
    await recordJobEvent(tx, job, event, `asked to stop: ${reason}`, 'warning');
  }

  /** What those whose cluster is not coming up, or not yet, wait for. */
  async #provision(
    tx: Transaction,
    decisions: Of<'provision'>[],
    { queued }: ReadScene,
  ): Promise<{ news: Of<'wait'>[]; unpaid: JobId[] }> {
    const jobs = new Map(queued.map(job => [job.id, job]));
    const news: Of<'wait'>[] = [];
    const unpaid: JobId[] = [];
    const refusals = new Map<TenantId, string>();
    for (const [index, { jobId, maxMicroUsdPerHour, preempts }] of decisions.entries()) {
      const job = jobs.get(jobId);
      if (!job) continue;
      if (index === maxProvisions) await wake(tx, 'dispatch', 'all');
      const required = withCeiling(job.needs.requirements, maxMicroUsdPerHour);
      const known = refusals.get(job.tenantId);
      const isTried = known === undefined && index < maxProvisions;
      const refusal = isTried ? await this.#bringUp(tx, job, required, preempts) : null;
      if (refusal?.isUnpaid) refusals.set(job.tenantId, refusal.message);
      if (refusal?.isUnpaid || known !== undefined) unpaid.push(jobId);
      const message = refusal?.message ?? known ?? 'Waiting for a cluster to be brought up.';
      news.push({ kind: 'wait', jobId, message, memory: job.memory });
    }
    return { news, unpaid };
  }

  /** What cannot be paid is out of the queue for a while: it would take the place of what comes behind it and can. */
  async #setAside(tx: Transaction, jobIds: readonly JobId[]): Promise<void> {
    await tx.query(
      `UPDATE jobs SET not_before = now() + make_interval(secs => $2) WHERE id = ANY ($1) AND phase = 'queued'`,
      [jobIds, unpaidPauseSeconds],
    );
    await wake(tx, 'dispatch', 'all');
  }

  /** The reason when no cluster is coming up for it. */
  async #bringUp(
    tx: Transaction,
    { tenantId, needs }: QueuedJob,
    requirements: Requirements | undefined,
    preempts: boolean,
  ): Promise<{ message: string; isUnpaid: boolean } | null> {
    const wanted = nodeFor(needs);
    if (!wanted.success) throw new Error('the queue brings up only what a node can be');
    await tx.query('SAVEPOINT provision');
    try {
      const wish = { requirements, preempts };
      const result = await this.wiring.clusters.provisionForJob(tx, tenantId, wanted.data, wish);
      if ('clusterId' in result) return null;
      const reason = result.isUnpaid ? 'unpaid' : result.ever ? 'no_machine_now' : 'no_machine_ever';
      afterCommit(tx, () => refusals.inc({ reason }));
      if (result.isUnpaid) return { message: `Waiting to be paid for: ${result.refused}`, isUnpaid: true };
      const words = result.ever ? 'Waiting for a machine' : 'No machine can carry this job';
      return { message: `${words}: ${result.refused}`, isUnpaid: false };
    } catch (error) {
      await tx.query('ROLLBACK TO SAVEPOINT provision');
      afterCommit(tx, () => refusals.inc({ reason: 'error' }));
      this.wiring.log.error({ tenant: tenantId, err: error }, 'a cluster for a job could not be provisioned');
      const message = 'Waiting for a cluster: one could not be brought up just now; it will be tried again.';
      return { message, isUnpaid: false };
    }
  }

  /** Writes the reasons for which jobs wait, where they have changed. */
  async #sayWhy(tx: Transaction, waits: Of<'wait'>[], rows: QueuedRow[]): Promise<void> {
    const before = new Map(rows.map(row => [row.id, row]));
    const news = new Map<JobId, Of<'wait'>>();
    for (const wait of waits) {
      const row = before.get(wait.jobId);
      if (row && (row.message !== wait.message || !isDeepStrictEqual(row.queue_memory, wait.memory))) {
        news.set(wait.jobId, wait);
      }
    }
    if (news.size === 0) return;
    const queued = [...(await lockQueuedJobs(tx, [...news.keys()])).values()];
    await changeJobs(
      tx,
      queued.map(row => {
        const { message = row.message, memory = null } = news.get(row.id) ?? {};
        return { row, changes: { message, queue_memory: memory } };
      }),
    );
  }
}

const dollars = (microUsd: number) => `${(microUsd / 1e6).toFixed(2)} USD`;
