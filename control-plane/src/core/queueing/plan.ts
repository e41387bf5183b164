/**
 * Which queued job goes where. Pure and deterministic: the same jobs and clusters always give the same decisions.
 *
 * Within a tenant the order of submission is kept: where a job could run but finds no room, no later one may take room
 * before it, unless a place on a cluster that is coming up is held for the earlier one.
 */
import type { ClusterId, JobId, Requirements, TenantId } from '@iocloud/contracts';
import { type FleetNode, meets } from '../matching/index.js';
import { type Amounts, add, type Needs, reservation, shortage } from './amounts.js';
import { labelsMatch } from './label-selector.js';

export interface QueuedJob {
  id: JobId;
  tenantId: TenantId;
  needs: Needs;
  /** Name or id of the only cluster that it may run on; null: any. */
  wantedCluster: string | null;
}

export interface PlannedCluster {
  id: ClusterId;
  tenantId: TenantId;
  name: string;
  origin: 'user' | 'job';
  /** `pending`: it has no machines yet. */
  phase: 'pending' | 'provisioning' | 'ready';
  capacity: Amounts;
  /** What it has once it has grown to its bounds, for jobs that name it; absent where its size is fixed. */
  growsTo?: Amounts;
  /** What live attempts hold. */
  reserved: Amounts;
  liveJobs: number;
  /** By its live load a job there would wait, whatever is reserved: chosen last among those with room. */
  saturated: boolean;
  nodeLabels: Record<string, string>[];
  /** What it holds of its machine, for jobs that require something of it; absent: it has none, or nobody asked. */
  ground?: FleetNode | undefined;
  waitingFor: string;
}

export type Decision =
  | { kind: 'assign'; jobId: JobId; clusterId: ClusterId; reserve: Amounts }
  /** At most one for a tenant. */
  | { kind: 'provision'; jobId: JobId; tenantId: TenantId; needs: Needs }
  | { kind: 'wait'; jobId: JobId; message: string };

export interface PlanOptions {
  maxJobsPerCluster: number;
  /** Jobs for which no cluster could be provisioned just now, with the reason. */
  refused: ReadonlyMap<JobId, string>;
}

/** A cluster while the plan is being made. */
interface Draft {
  cluster: PlannedCluster;
  reserved: Amounts;
  liveJobs: number;
  /** An earlier job waits for room here. */
  claimed: boolean;
}

/** `jobs` come in the order of their submission. One decision for each. */
export function plan(jobs: QueuedJob[], clusters: PlannedCluster[], options: PlanOptions): Decision[] {
  const drafts = [...clusters]
    .sort((left, right) => (left.id < right.id ? -1 : 1))
    .map(cluster => ({ cluster, reserved: cluster.reserved, liveJobs: cluster.liveJobs, claimed: false }));
  const byTenant = new Map<TenantId, Draft[]>();
  for (const draft of drafts) {
    byTenant.set(draft.cluster.tenantId, [...(byTenant.get(draft.cluster.tenantId) ?? []), draft]);
  }
  const provisioning = new Set<TenantId>(
    clusters.filter(({ origin, phase }) => origin === 'job' && phase !== 'ready').map(({ tenantId }) => tenantId),
  );
  return jobs.map(job => {
    const own = byTenant.get(job.tenantId) ?? [];
    return job.wantedCluster === null
      ? placeAnywhere(job, own, provisioning, options)
      : placeOn(job, job.wantedCluster, own, options);
  });
}

function placeOn(job: QueuedJob, wanted: string, own: Draft[], options: PlanOptions): Decision {
  const wait = (message: string): Decision => ({ kind: 'wait', jobId: job.id, message });
  const draft = own.find(({ cluster }) => cluster.id === wanted) ?? own.find(({ cluster }) => cluster.name === wanted);
  if (!draft) return wait(`Waiting for cluster ${wanted}: no cluster of that name or id is up or coming up.`);
  // It grows for what waits on it: a job that may run nowhere else goes there as if it had grown.
  const capacity = draft.cluster.growsTo ?? draft.cluster.capacity;
  const lack = neverFits(job, draft.cluster, capacity);
  if (lack) return wait(`Cluster ${wanted} can never run this job: ${lack}. Scale the cluster, or stop the job.`);
  if (draft.cluster.phase !== 'ready') {
    hold(draft, job, capacity);
    return wait(`Waiting for cluster ${draft.cluster.name}: ${draft.cluster.waitingFor}.`);
  }
  const full = noRoom(job, draft, options, capacity);
  if (full === null) return assign(job, draft, capacity);
  draft.claimed = true;
  return wait(`Waiting for room on cluster ${draft.cluster.name}: ${full}.`);
}

function placeAnywhere(job: QueuedJob, own: Draft[], provisioning: Set<TenantId>, options: PlanOptions): Decision {
  const eligible = own.filter(({ cluster }) => neverFits(job, cluster) === null);
  const ready = eligible.filter(({ cluster }) => cluster.phase === 'ready');
  // The fullest that has room, so that the others fall idle and are released; what its own load has filled, last.
  const [warm] = ready
    .filter(draft => noRoom(job, draft, options) === null)
    .sort(
      (left, right) => Number(left.cluster.saturated) - Number(right.cluster.saturated) || free(left) - free(right),
    );
  if (warm) return assign(job, warm);
  // A user's own cluster without machines may never get any; one brought up for a job is worth waiting for.
  const coming = eligible.find(
    draft =>
      draft.cluster.phase !== 'ready' &&
      (draft.cluster.origin === 'job' || draft.cluster.phase === 'provisioning') &&
      noRoom(job, draft, options) === null,
  );
  if (coming) {
    hold(coming, job);
    const message = `Waiting for cluster ${coming.cluster.name}: ${coming.cluster.waitingFor}.`;
    return { kind: 'wait', jobId: job.id, message };
  }
  for (const draft of ready) draft.claimed = true;
  const refusal = options.refused.get(job.id);
  if (refusal !== undefined) return { kind: 'wait', jobId: job.id, message: refusal };
  if (!provisioning.has(job.tenantId)) {
    provisioning.add(job.tenantId);
    return { kind: 'provision', jobId: job.id, tenantId: job.tenantId, needs: job.needs };
  }
  const message = 'Waiting for room: the clusters are full, and another one is being brought up first.';
  return { kind: 'wait', jobId: job.id, message };
}

function assign(job: QueuedJob, draft: Draft, capacity = draft.cluster.capacity): Decision {
  return { kind: 'assign', jobId: job.id, clusterId: draft.cluster.id, reserve: hold(draft, job, capacity) };
}

function hold(draft: Draft, job: QueuedJob, capacity = draft.cluster.capacity): Amounts {
  const reserve = reservation(job.needs, capacity);
  draft.reserved = add(draft.reserved, reserve);
  draft.liveJobs += 1;
  return reserve;
}

const free = (draft: Draft) => draft.cluster.capacity.cpus - draft.reserved.cpus;

/** Why the cluster could not run the job even if it were empty; null: it could. */
function neverFits(job: QueuedJob, cluster: PlannedCluster, capacity = cluster.capacity): string | null {
  const lack = shortage(reservation(job.needs, capacity), capacity);
  if (lack) return `it asks for ${lack}`;
  const { labelSelector, requirements } = job.needs;
  if (requirements && !(cluster.ground && isMet(job.tenantId, requirements, cluster.ground))) {
    return 'its machine is not what the job requires';
  }
  if (Object.keys(labelSelector).length === 0) return null;
  if (cluster.nodeLabels.some(labels => labelsMatch(labels, labelSelector))) return null;
  return 'no node of it carries the labels that entrypoint_label_selector asks for';
}

/** Answers are kept as long as the ground is: many jobs require the same. */
const answers = new WeakMap<FleetNode, Map<string, boolean>>();

function isMet(tenantId: TenantId, requirements: Requirements, ground: FleetNode): boolean {
  const known = answers.get(ground) ?? new Map<string, boolean>();
  answers.set(ground, known);
  const question = `${tenantId} ${JSON.stringify(requirements)}`;
  const answer = known.get(question) ?? meets(ground, tenantId, requirements);
  known.set(question, answer);
  return answer;
}

/** Why there is no room just now; null: there is. */
function noRoom(job: QueuedJob, draft: Draft, options: PlanOptions, capacity = draft.cluster.capacity): string | null {
  if (draft.claimed) return 'an earlier job waits for it';
  if (draft.liveJobs >= options.maxJobsPerCluster) {
    return `${draft.liveJobs} jobs run there, which is the most that one cluster takes`;
  }
  const lack = shortage(add(draft.reserved, reservation(job.needs, capacity)), capacity);
  return lack === null ? null : `with the jobs that run there it would need ${lack}`;
}
