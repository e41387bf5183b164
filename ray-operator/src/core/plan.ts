import { autoscalerAccess } from './autoscaler.js';
import { headIngress } from './ingress.js';
import type { Manifest, Pod, RayCluster, Service } from './kubernetes-objects.js';
import { annotations } from './names.js';
import { endOf, groupOf, isHead, isLeaving, lateInMs } from './pod-health.js';
import { headPod, type PodOptions, workerPod } from './pods.js';
import { headlessService, headService } from './services.js';
import { canonical, type Hash, podSpecHash } from './spec-hash.js';
import { isSuspending } from './status.js';
import { validate } from './validation.js';
import { type Deletion, planGroup } from './worker-groups.js';

export interface Observed {
  pods: Pod[];
  services: Service[];
}

export interface PlanContext {
  newSuffix: () => string;
  waitForHead: boolean;
  now: number;
  /** How long after its grace period a pod that is being deleted may hold up what comes after it. */
  lateAfterMs: number;
}

export interface Plan {
  problems: string[];
  /** Brought to what they say, whether they exist or not. */
  applies: Manifest[];
  deletions: Deletion[];
  /** In this order: the head comes first. */
  creations: Manifest[];
  /** Look again then, even if nothing happens. */
  lookAgainInMs?: number;
}

/** What follows from the spec alone, worked out once for each version of it and not at every look. */
export interface Derived {
  problems: string[];
  services: Manifest[];
  specHash: string;
}

export function derive(cluster: RayCluster, hash: Hash): Derived {
  const problems = validate(cluster);
  if (problems.length > 0) return { problems, services: [], specHash: '' };
  return { problems, services: markedServices(cluster, hash), specHash: podSpecHash(cluster.spec, hash) };
}

export function planCluster(cluster: RayCluster, derived: Derived, observed: Observed, context: PlanContext): Plan {
  const { problems, services, specHash } = derived;
  const nothing: Plan = { problems, applies: [], deletions: [], creations: [] };
  if (problems.length > 0) return nothing;
  const plan = { ...nothing, applies: services.filter(manifest => !isApplied(manifest, observed.services)) };
  if (isSuspending(cluster)) return { ...plan, ...allGo(observed.pods, 'the cluster is suspended', context) };
  if (cluster.spec.upgradeStrategy?.type === 'Recreate') {
    const outdated = observed.pods.filter(pod => pod.metadata.annotations?.[annotations.specHash] !== specHash);
    // All go, and new ones come once they are gone: a head and workers of two specs are no cluster.
    if (outdated.length > 0) return { ...plan, ...allGo(observed.pods, 'the spec of its pods has changed', context) };
  }
  return { ...plan, ...podChanges(cluster, observed.pods, { specHash, waitForHead: context.waitForHead }, context) };
}

const all = (pods: Pod[], reason: string): Deletion[] =>
  pods.filter(pod => !isLeaving(pod)).map(pod => ({ pod, reason }));

/** All are deleted, and something waits for their end. */
export function allGo(pods: Pod[], reason: string, context: Pick<PlanContext, 'now' | 'lateAfterMs'>) {
  const { deletions, ...rest } = lateOnes(pods, context);
  return { deletions: [...all(pods, reason), ...deletions], ...rest };
}

/** Of those that are being deleted the late ones, to be taken out of the API, and when the next will be late. */
function lateOnes(pods: Pod[], { now, lateAfterMs }: Pick<PlanContext, 'now' | 'lateAfterMs'>) {
  const deletions: Deletion[] = [];
  let lookAgainInMs = Number.POSITIVE_INFINITY;
  for (const pod of pods.filter(isLeaving)) {
    const waitMs = lateInMs(pod, now, lateAfterMs);
    if (waitMs > 0) lookAgainInMs = Math.min(lookAgainInMs, waitMs);
    else deletions.push({ pod, reason: 'its node has not ended it in time', force: true });
  }
  return { deletions, ...(Number.isFinite(lookAgainInMs) ? { lookAgainInMs } : {}) };
}

function podChanges(cluster: RayCluster, pods: Pod[], options: PodOptions, context: PlanContext) {
  const creations: Manifest[] = [];
  const heads = pods.filter(isHead);
  // The head's name is always the same: the next can only come when the last has left it.
  const { deletions, ...rest } = lateOnes(heads, context);
  if (heads.length === 0) creations.push(headPod(cluster, options));
  for (const pod of heads.filter(each => !isLeaving(each))) {
    const end = endOf(pod);
    if (end) deletions.push({ pod, reason: end });
  }
  const groups = cluster.spec.workerGroupSpecs ?? [];
  const workers = byGroup(pods.filter(pod => !isHead(pod)));
  for (const group of groups) {
    const plan = planGroup(group, workers.get(group.groupName) ?? [], { cluster, newSuffix: context.newSuffix });
    workers.delete(group.groupName);
    deletions.push(...plan.deletions);
    creations.push(...plan.creations.map(id => workerPod(cluster, group, id, options)));
  }
  for (const orphans of workers.values()) deletions.push(...all(orphans, 'its group is not in the spec any more'));
  return { deletions, creations, ...rest };
}

function byGroup(pods: Pod[]): Map<string, Pod[]> {
  const groups = new Map<string, Pod[]>();
  for (const pod of pods) {
    const group = groups.get(groupOf(pod));
    if (group) group.push(pod);
    else groups.set(groupOf(pod), [pod]);
  }
  return groups;
}

function markedServices(cluster: RayCluster, hash: Hash): Manifest[] {
  return [headService(cluster), headlessService(cluster)].flatMap(manifest => {
    if (!manifest) return [];
    const marks = { ...manifest.metadata.annotations, [annotations.appliedHash]: hash(canonical(manifest)) };
    return [{ ...manifest, metadata: { ...manifest.metadata, annotations: marks } }];
  });
}

function isApplied({ metadata }: Manifest, services: Service[]): boolean {
  const existing = services.find(service => service.metadata.name === metadata.name);
  const mark = annotations.appliedHash;
  return existing?.metadata.annotations?.[mark] === metadata.annotations?.[mark];
}

/** What the operator does not watch and makes sure of from time to time. */
export const unwatchedObjects = (cluster: RayCluster): Manifest[] => [
  ...autoscalerAccess(cluster),
  ...headIngress(cluster),
];
