/**
 * The scheduler: one at a time among all replicas, it gives queued jobs their places. What goes where is decided by
 * core/queueing; here the decisions are made true, or not at all, in one transaction.
 */
import { type ClusterId, type JobId, newId, type TenantId } from '@iocloud/contracts';
import type { Clusters, ClusterView } from '../clusters/ports.js';
import {
  type Decision,
  type Needs,
  nothing,
  type PlannedCluster,
  type PlanOptions,
  plan,
  type QueuedJob,
} from '../core/queueing/index.js';
import { type Database, type Logger, type TopicHandler, type Transaction, wake } from '../platform/index.js';
import { insertAttempt, reservations, takeRaySubmissionId } from './attempts/store.js';
import { nodeFor } from './needs.js';
import { changeJob, type JobRow, lockQueuedJobs, type RandomBytes, recordJobEvent } from './store.js';

/** Any constant, the same for all replicas. */
const schedulerLock = 7_265_010;
/**
 * How many jobs of a tenant with the same needs, for each cluster that they name or for none, are looked at in one run.
 * By needs, so that any number of jobs that nothing can carry keeps nobody else from being seen.
 */
const windowSize = 200;
/** How many kinds of needs a run may bring clusters up for or be refused; what is left comes in a later run. */
const maxProvisionRounds = 64;
/** At most a quarter of the time is spent on runs, however many ask for one, and nobody waits longer than this for one. */
const restFactor = 3;
const maxRestMs = 500;
/** Later than that the sweep sees to it. */
const soonMs = 60_000;
interface Wiring {
  database: Database;
  clusters: Clusters;
  log: Logger;
  random: RandomBytes;
  maxJobsPerCluster: number;
  now(): number;
}

interface QueuedRow {
  id: JobId;
  tenant_id: TenantId;
  needs: Needs;
  wanted_cluster: string | null;
  message: string;
}

export class Dispatcher implements TopicHandler {
  #nextRetry: NodeJS.Timeout | undefined;

  constructor(readonly wiring: Wiring) {}

  /** For a plan that nobody has refused anything in yet. */
  get options(): PlanOptions {
    return { ...this.wiring, refused: new Map() };
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
    await this.wiring.database.transaction(async tx => {
      // Waited for, not tried: whoever holds it may have read the queue before our job was in it.
      await tx.query('SELECT pg_advisory_xact_lock($1)', [schedulerLock]);
      const rows = await readQueue(tx);
      if (rows.length > 0) await this.#dispatch(tx, rows);
    });
    await this.#awaitRetry();
  }

  /** Nobody wakes us when a job's pause is over; the sweep would, a while later. */
  async #awaitRetry(): Promise<void> {
    const { rows } = await this.wiring.database.query<{ ms: number | null }>({
      name: 'next-retry',
      text: `SELECT extract(epoch FROM min(not_before) - now())::float8 * 1000 AS ms FROM jobs
             WHERE phase = 'queued' AND not_before > now()`,
    });
    clearTimeout(this.#nextRetry);
    const ms = rows[0]?.ms ?? null;
    if (ms === null || ms > soonMs) return;
    this.#nextRetry = setTimeout(
      () => {
        this.wiring.database
          .transaction(tx => wake(tx, 'dispatch', 'all'))
          .catch((error: unknown) => this.wiring.log.debug({ err: error }, 'a retry is left to the sweep'));
      },
      Math.max(0, ms),
    );
    this.#nextRetry.unref();
  }

  stop(): void {
    clearTimeout(this.#nextRetry);
  }

  async #dispatch(tx: Transaction, rows: QueuedRow[]): Promise<void> {
    let jobs: QueuedJob[] = rows.map(row => ({
      id: row.id,
      tenantId: row.tenant_id,
      needs: row.needs,
      wantedCluster: row.wanted_cluster,
    }));
    const isAsked = rows.some(row => row.needs.requirements !== undefined);
    const kinds = new Map(jobs.map(job => [job.id, `${job.tenantId} ${JSON.stringify(job.needs)}`]));
    const refused = new Map<JobId, string>();
    for (let round = 0; ; round += 1) {
      const clusters = await this.clusters(tx, isAsked);
      const decisions = plan(jobs, clusters, { ...this.wiring, refused });
      // Before any cluster is asked for: making room for it releases what is idle, and this is idle no more.
      const assigned = decisions.filter(decision => decision.kind === 'assign');
      await this.#assign(tx, assigned, clusters);
      const done = new Set(assigned.map(decision => decision.jobId));
      jobs = jobs.filter(job => !done.has(job.id));
      const wanted = decisions.filter(decision => decision.kind === 'provision');
      if (wanted.length === 0 || round === maxProvisionRounds) return this.#sayWhy(tx, decisions, rows);
      for (const { jobId, tenantId, needs } of wanted) {
        const refusal = await this.#provision(tx, tenantId, needs);
        if (refusal === null) continue;
        const kind = kinds.get(jobId);
        for (const job of jobs) if (kinds.get(job.id) === kind) refused.set(job.id, refusal);
      }
    }
  }

  /** Live clusters with what is held of them; one whose head cannot be reached just now takes no new job. */
  async clusters(tx: Transaction, withGrounds: boolean): Promise<(PlannedCluster & { view: ClusterView })[]> {
    const views = await this.wiring.clusters.live(tx);
    const held = await reservations(tx);
    const ids = withGrounds ? views.map(({ id }) => id) : [];
    const grounds = await this.wiring.clusters.groundsOf(tx, ids);
    const planned: (PlannedCluster & { view: ClusterView })[] = [];
    for (const view of views) {
      let { phase, waitingFor } = view;
      if (phase === 'ready') {
        const state = view.headLeaseId ? await this.wiring.clusters.headState(tx, view.headLeaseId) : 'gone';
        if (state !== 'ready') {
          phase = 'provisioning';
          waitingFor = state !== 'unreachable' ? 'its head has ended' : 'its head cannot be reached';
        }
      }
      const { reserved, live } = held.get(view.id) ?? { reserved: nothing, live: 0 };
      planned.push({ ...view, phase, waitingFor, reserved, liveJobs: live, ground: grounds.get(view.id), view });
    }
    return planned;
  }

  /** The reason when no cluster is coming up for it. */
  async #provision(tx: Transaction, tenantId: TenantId, needs: Needs): Promise<string | null> {
    const wanted = nodeFor(needs);
    if (!wanted.success) {
      const [issue] = wanted.error.issues;
      return `No cluster can be brought up for this job: ${issue?.path.join('.')}: ${issue?.message}.`;
    }
    await tx.query('SAVEPOINT provision');
    try {
      const result = await this.wiring.clusters.provisionForJob(tx, tenantId, wanted.data, needs.requirements);
      if ('clusterId' in result) return null;
      return result.ever
        ? `Waiting for a machine: ${result.refused}`
        : `No machine can carry this job: ${result.refused}`;
    } catch (error) {
      await tx.query('ROLLBACK TO SAVEPOINT provision');
      this.wiring.log.error({ tenant: tenantId, err: error }, 'a cluster for a job could not be provisioned');
      return 'Waiting for a cluster: one could not be brought up just now; it will be tried again.';
    }
  }

  async #assign(
    tx: Transaction,
    decisions: Extract<Decision, { kind: 'assign' }>[],
    clusters: (PlannedCluster & { view: ClusterView })[],
  ): Promise<void> {
    if (decisions.length === 0) return;
    const views = new Map<ClusterId, ClusterView>(clusters.map(({ view }) => [view.id, view]));
    const idle = new Set<ClusterId>(clusters.filter(({ liveJobs }) => liveJobs === 0).map(({ id }) => id));
    const held = new Set<ClusterId>();
    // A job may have been stopped or deleted since it was read.
    const queued = await lockQueuedJobs(
      tx,
      decisions.map(decision => decision.jobId),
    );
    for (const decision of decisions) {
      const job = queued.get(decision.jobId);
      const view = views.get(decision.clusterId);
      if (!job || !view?.headLeaseId) continue;
      await tx.query('SAVEPOINT assign');
      const attempt = {
        id: newId('attempt', this.wiring.random),
        jobId: job.id,
        number: job.attempt_count + 1,
        clusterId: view.id,
        headLeaseId: view.headLeaseId,
        raySubmissionId: await this.#raySubmissionId(tx, job, view.id),
        reserved: decision.reserve,
      };
      await insertAttempt(tx, attempt);
      // The first insert holds the cluster's row against its deletion until we commit; was it being deleted before?
      if (!held.has(view.id)) {
        const still = (await this.wiring.clusters.live(tx, job.tenant_id)).find(({ id }) => id === view.id);
        if (still?.headLeaseId !== view.headLeaseId) {
          await tx.query('ROLLBACK TO SAVEPOINT assign');
          await wake(tx, 'dispatch', 'all');
          continue;
        }
        held.add(view.id);
      }
      await changeJob(tx, job, {
        phase: 'assigned',
        cluster_id: view.id,
        attempt_count: attempt.number,
        message: `Starting on cluster ${view.name}.`,
      });
      await recordJobEvent(tx, job, 'JobAssigned', `attempt ${attempt.number} goes to cluster ${view.name}`);
      await wake(tx, 'attempt', attempt.id);
      // Its idle time is over.
      if (idle.delete(view.id)) await wake(tx, 'cluster', view.id);
    }
  }

  /** The user's own id where it is free, so that it is found on the cluster's dashboard. */
  async #raySubmissionId(tx: Transaction, job: JobRow, clusterId: ClusterId): Promise<string> {
    const number = job.attempt_count + 1;
    const plain = number === 1 ? job.submission_id : `${job.submission_id}.${number}`;
    if (await takeRaySubmissionId(tx, clusterId, plain)) return plain;
    const other = `${job.submission_id}.${number}-${this.wiring.random(4).toString('hex')}`;
    if (await takeRaySubmissionId(tx, clusterId, other)) return other;
    throw new Error(`no free submission id for job ${job.id} on cluster ${clusterId}`);
  }

  /** Writes the reasons for which jobs wait, where they have changed. */
  async #sayWhy(tx: Transaction, decisions: Decision[], rows: QueuedRow[]): Promise<void> {
    const before = new Map(rows.map(row => [row.id, row.message]));
    const news = new Map<JobId, string>();
    for (const decision of decisions) {
      if (decision.kind === 'assign') continue;
      const message = decision.kind === 'wait' ? decision.message : 'Waiting for a cluster to be brought up.';
      if (before.get(decision.jobId) !== message) news.set(decision.jobId, message);
    }
    if (news.size === 0) return;
    for (const job of (await lockQueuedJobs(tx, [...news.keys()])).values()) {
      await changeJob(tx, job, { message: news.get(job.id) ?? job.message });
    }
  }
}

/** Queued jobs that may go, in the queue's order, no more than a window of each kind. */
async function readQueue(tx: Transaction): Promise<QueuedRow[]> {
  const { rows } = await tx.query<QueuedRow>({
    name: 'read-queue',
    text: `SELECT j.id, j.tenant_id, j.needs, j.wanted_cluster, j.message
           FROM (SELECT id, row_number() OVER (
                   PARTITION BY tenant_id, wanted_cluster, needs::text ORDER BY queue_at, id) AS place
                 FROM jobs WHERE phase = 'queued' AND not_before <= now()) q
           JOIN jobs j ON j.id = q.id WHERE q.place <= $1 ORDER BY j.queue_at, j.id`,
    values: [windowSize],
  });
  return rows;
}
