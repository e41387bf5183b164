/**
 * One run of the scheduler, pure: the queue is built from what is on record, decides, and is forgotten. What it decides is
 * made true by its host, in the transaction that the record was read in; so it may be killed anywhere.
 */
import type { AttemptId, ClusterId, JobId, Scheduling, TenantId } from '@iocloud/contracts';
import type { Want } from '../matching/index.js';
import { type Amounts, type Needs, reservation } from './amounts.js';
import type { JobCluster } from './cluster-draft.js';
import type { Stop } from './entry.js';
import { JobGround, type JobMachine, type JobPlacement, type JobRequest } from './job-ground.js';
import { type Explanation, type Memory, Queue, type QueueDecision } from './queue.js';
import type { Demand, TenantTerms } from './quota.js';
import { defaultQueueTerms, type QueueTerms } from './terms.js';
import { sentence } from './waiting.js';
import type { Workload } from './workload.js';

export type JobMemory = Memory<JobPlacement>;

export interface QueuedJob {
  id: JobId;
  tenantId: TenantId;
  needs: Needs;
  wantedCluster: string | null;
  scheduling: Scheduling;
  submittedAtMs: number;
  /** The one Ray node of a cluster brought up for it, or why none can be. */
  node: Want | { impossible: string };
  /** By its attempts until now. */
  spentMicroUsd: number;
  /** What the run before left behind about it. */
  memory: JobMemory | null;
}

/** A job that runs, as far as anything can be decided about it. */
export interface RunningJob {
  id: JobId;
  attemptId: AttemptId;
  tenantId: TenantId;
  clusterId: ClusterId;
  scheduling: Scheduling;
  submittedAtMs: number;
  startedAtMs: number;
  reserved: Amounts;
  microUsdPerHour: number;
  /** By earlier attempts. */
  spentMicroUsd: number;
  stopAtMs: number | null;
  /** It has been told to stop. */
  stop: Stop | null;
}

/** What jobs hold about which nothing can be decided: they run until they end. */
export interface OtherWork {
  tenantId: TenantId;
  clusterId: ClusterId;
  reserved: Amounts;
  /** So many of them, each with this. */
  jobs: number;
}

export interface JobScene {
  queued: readonly QueuedJob[];
  running: readonly RunningJob[];
  others: readonly OtherWork[];
  clusters: readonly JobCluster[];
  /** Null: not read yet; `asksForMachines` in the answer says whether they are needed. */
  machines: readonly JobMachine[] | null;
  /** Those are some of very many, chosen for what is queued. */
  isPart?: boolean | undefined;
  /** Of those tenants whose terms are not the usual. */
  tenants: readonly TenantTerms[];
  /** All that there is, of which shares are counted. */
  capacity: Demand;
}

export interface JobQueueTerms {
  maxJobsPerCluster: number;
  rayVersion: string;
  queue?: QueueTerms;
}

export type JobDecision =
  | {
      kind: 'assign';
      jobId: JobId;
      clusterId: ClusterId;
      reserve: Amounts;
      microUsdPerHour: number;
      stopAtMs: number | null;
    }
  | { kind: 'provision'; jobId: JobId; maxMicroUsdPerHour: number | null; preempts: boolean }
  | { kind: 'evict'; jobId: JobId; attemptId: AttemptId; stop: Stop }
  | { kind: 'wait'; jobId: JobId; message: string; memory: JobMemory | null };

export interface JobDecisions {
  decisions: JobDecision[];
  asksForMachines: boolean;
  /** When time alone makes a difference next. Null: never. */
  nextTimeMs: number | null;
}

const usualTerms = { weight: 1, quota: null, cohort: null, borrowingLimit: {} };
/** Tenants wait for their own clusters mostly, so many of them can keep a place without being in each other's way. */
const liveTerms: QueueTerms = { ...defaultQueueTerms, maxReservations: 64 };

/** In the smallest units of quotas: see Demand. */
export function demandOf(amounts: Pick<Amounts, 'cpus' | 'gpus' | 'memoryBytes'>): Demand {
  return {
    'gpu-thousandths': Math.round(amounts.gpus * 1_000),
    'cpu-thousandths': Math.round(amounts.cpus * 1_000),
    'memory-bytes': Math.round(amounts.memoryBytes),
  };
}

/** For what does not say how many CPUs it needs, on a cluster that nobody knows yet. */
export const unstatedCapacity: Amounts = { cpus: 1, gpus: 0, memoryBytes: 0, resources: {} };
const never = { priority: 'normal', preemptible: false, deadline: null, expectedSeconds: null } as const;
const noScheduling: Scheduling = { ...never, cheapMicroUsdPerHour: null, budgetMicroUsd: null };

export class JobQueue {
  readonly #ground: JobGround;
  readonly #queue: Queue<JobRequest, JobPlacement>;
  readonly #terms: QueueTerms;
  readonly #byId = new Map<string, QueuedJob>();
  readonly #running = new Map<string, RunningJob>();
  readonly #refused = new Map<string, string>();

  constructor(scene: JobScene, terms: JobQueueTerms) {
    this.#terms = terms.queue ?? liveTerms;
    this.#ground = new JobGround(scene.clusters, scene.machines, { ...terms, isPart: scene.isPart });
    this.#queue = new Queue(this.#ground, this.#terms);
    this.#queue.setCapacity(scene.capacity);
    const stated = new Map<string, TenantTerms>(scene.tenants.map(one => [one.tenantId, one]));
    const all = [...scene.queued, ...scene.running, ...scene.others].map(({ tenantId }) => tenantId);
    for (const tenantId of new Set<string>([...stated.keys(), ...all])) {
      this.#queue.setTenant(stated.get(tenantId) ?? { tenantId, ...usualTerms });
    }
    for (const [index, work] of scene.others.entries()) this.#adoptOthers(`others ${index}`, work);
    for (const job of scene.running) this.#adopt(job);
    for (const job of scene.queued) this.#submit(job);
  }

  #adoptOthers(id: string, { tenantId, clusterId, reserved, jobs }: OtherWork): void {
    const each = (amount: number) => amount * jobs;
    const reserve: Amounts = {
      cpus: each(reserved.cpus),
      gpus: each(reserved.gpus),
      memoryBytes: each(reserved.memoryBytes),
      resources: Object.fromEntries(Object.entries(reserved.resources).map(([name, amount]) => [name, each(amount)])),
    };
    const request = { tenantId, needs: { ...reserve, labelSelector: {} }, wantedCluster: null, preempts: false };
    const workload = this.#workload(id, { ...request, node: { impossible: '' } }, reserve, noScheduling, 0);
    const placement: JobPlacement = { kind: 'cluster', clusterId, reserve, jobs, microUsdPerHour: 0 };
    const held = { placement, sinceMs: 0, checkpointedAtMs: 0, expectedEndMs: null, stopAtMs: null };
    this.#queue.submit(workload, { admissions: 1, spentMicroUsd: 0, held, stop: null, memory: null });
  }

  #adopt(job: RunningJob): void {
    this.#running.set(job.id, job);
    const { clusterId, reserved: reserve, microUsdPerHour, startedAtMs, scheduling } = job;
    const needs = { ...reserve, labelSelector: {} };
    const request = { tenantId: job.tenantId, needs, wantedCluster: null, preempts: false, node: { impossible: '' } };
    const workload = this.#workload(job.id, request, reserve, scheduling, job.submittedAtMs);
    this.#queue.submit(workload, {
      admissions: 1,
      spentMicroUsd: job.spentMicroUsd,
      held: {
        placement: { kind: 'cluster', clusterId, reserve, jobs: 1, microUsdPerHour },
        sinceMs: startedAtMs,
        checkpointedAtMs: startedAtMs,
        expectedEndMs: scheduling.expectedSeconds === null ? null : startedAtMs + scheduling.expectedSeconds * 1_000,
        stopAtMs: job.stopAtMs,
      },
      stop: job.stop,
      memory: null,
    });
  }

  #submit(job: QueuedJob): void {
    this.#byId.set(job.id, job);
    const { tenantId, needs, wantedCluster, scheduling, node } = job;
    const preempts = this.#terms.preempting.includes(scheduling.priority);
    const request = { tenantId, needs, wantedCluster, preempts, node };
    const workload = this.#workload(
      job.id,
      request,
      reservation(needs, unstatedCapacity),
      scheduling,
      job.submittedAtMs,
    );
    const { spentMicroUsd, memory } = job;
    const answer = this.#queue.submit(workload, { admissions: 0, spentMicroUsd, held: null, stop: null, memory });
    if (answer) this.#refused.set(job.id, `It can never run: ${answer.refused}.`);
  }

  #workload(
    id: string,
    request: JobRequest,
    amounts: Amounts,
    scheduling: Scheduling,
    submittedAtMs: number,
  ): Workload<JobRequest> {
    const { cheapMicroUsdPerHour, deadline, expectedSeconds } = scheduling;
    return {
      id,
      tenantId: request.tenantId,
      priorityClass: scheduling.priority,
      submittedAtMs,
      request,
      shape: JSON.stringify([request.tenantId, request.wantedCluster, request.preempts, request.needs]),
      demand: demandOf(amounts),
      preemptible: scheduling.preemptible,
      expectedDurationMs: expectedSeconds === null ? null : expectedSeconds * 1_000,
      deadlineMs: deadline === null ? null : Date.parse(deadline),
      cheapWindow: cheapMicroUsdPerHour === null ? null : { maxMicroUsdPerHour: cheapMicroUsdPerHour },
      budgetMicroUsd: scheduling.budgetMicroUsd,
    };
  }

  decide(nowMs: number): JobDecisions {
    const { decisions } = this.#queue.decide(nowMs);
    const made = decisions.flatMap(decision => this.#made(decision));
    const decided = new Set<string>(made.map(({ jobId }) => jobId));
    const waits = [...this.#byId.values()]
      .filter(({ id }) => !decided.has(id))
      .map(({ id }): JobDecision => ({ kind: 'wait', jobId: id, ...this.#whyItWaits(id, nowMs) }));
    return {
      decisions: [...made, ...waits],
      asksForMachines: this.#ground.asksForMachines,
      nextTimeMs: this.#queue.nextTimeMs(),
    };
  }

  #made(decision: QueueDecision<JobPlacement>): JobDecision[] {
    if (decision.kind === 'stop') {
      const running = this.#running.get(decision.id);
      const { why, forId, graceUntilMs } = decision;
      if (!running) return [];
      return [{ kind: 'evict', jobId: running.id, attemptId: running.attemptId, stop: { why, forId, graceUntilMs } }];
    }
    // Its Ray head ends it by force when the job's own grace is over.
    if (decision.kind === 'force') return [];
    const job = this.#byId.get(decision.id);
    if (!job) throw new Error(`the queue admitted ${decision.id}, which does not wait`);
    const { placement, stopAtMs } = decision;
    if (placement.kind === 'new') {
      const { budgetMicroUsd, cheapMicroUsdPerHour } = job.scheduling;
      const priced = budgetMicroUsd !== null || cheapMicroUsdPerHour !== null;
      return [
        {
          kind: 'provision',
          jobId: job.id,
          maxMicroUsdPerHour: priced ? placement.microUsdPerHour : null,
          preempts: this.#terms.preempting.includes(job.scheduling.priority),
        },
      ];
    }
    const cluster = this.#ground.cluster(placement.clusterId);
    if (cluster?.phase !== 'ready') {
      const message = `Waiting for cluster ${cluster?.name}: ${cluster?.waitingFor}.`;
      // Until it runs, nobody shall take what it waited for.
      return [{ kind: 'wait', jobId: job.id, message, memory: job.memory }];
    }
    const { clusterId, reserve, microUsdPerHour } = placement;
    return [{ kind: 'assign', jobId: job.id, clusterId, reserve, microUsdPerHour, stopAtMs }];
  }

  #whyItWaits(id: JobId, nowMs: number): { message: string; memory: JobMemory | null } {
    const refused = this.#refused.get(id);
    if (refused !== undefined) return { message: refused, memory: null };
    const { wait } = this.#queue.explain(id, nowMs);
    if (wait === null) return { message: 'Waiting for its turn.', memory: this.#queue.memoryOf(id) };
    // The ground says it in whole sentences.
    const message = wait.code === 'no-room' ? wait.message : sentence(wait);
    return { message, memory: this.#queue.memoryOf(id) };
  }

  /** To be asked after `decide`. */
  explain(id: JobId, nowMs: number): Explanation | { refused: string } {
    const refused = this.#refused.get(id);
    return refused === undefined ? this.#queue.explain(id, nowMs) : { refused };
  }
}
