/** A RayCluster and what there is of it → what to make, what to delete, what to say. Pure: the controller carries it out. */
import type { RayClusterSpec } from '../api/raycluster.js';
import { autoscalerAccess } from './autoscaler.js';
import type { Manifest, Pod, RayCluster, Service } from './kubernetes-objects.js';
import { annotations } from './names.js';
import { endOf, groupOf, isHead, isLeaving } from './pod-health.js';
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
  hash: Hash;
  newSuffix: () => string;
  waitForHead: boolean;
}

export interface Plan {
  problems: string[];
  /** Brought to what they say, whether they exist or not. */
  applies: Manifest[];
  deletions: Deletion[];
  /** In this order: the head comes first. */
  creations: Manifest[];
}

export const isOurs = (spec: RayClusterSpec) =>
  spec.managedBy === undefined || spec.managedBy === 'ray.io/kuberay-operator';

export function planCluster(cluster: RayCluster, observed: Observed, context: PlanContext): Plan {
  const problems = validate(cluster);
  const nothing: Plan = { problems, applies: [], deletions: [], creations: [] };
  if (problems.length > 0) return nothing;
  const plan = { ...nothing, applies: servicesToApply(cluster, observed.services, context.hash) };
  if (isSuspending(cluster)) return { ...plan, deletions: all(observed.pods, 'the cluster is suspended') };
  const specHash = podSpecHash(cluster.spec, context.hash);
  if (cluster.spec.upgradeStrategy?.type === 'Recreate') {
    const outdated = observed.pods.filter(pod => pod.metadata.annotations?.[annotations.specHash] !== specHash);
    // All go, and new ones come once they are gone: a head and workers of two specs are no cluster.
    if (outdated.length > 0) return { ...plan, deletions: all(observed.pods, 'the spec of its pods has changed') };
  }
  return { ...plan, ...podChanges(cluster, observed.pods, { specHash, waitForHead: context.waitForHead }, context) };
}

const all = (pods: Pod[], reason: string): Deletion[] =>
  pods.filter(pod => !isLeaving(pod)).map(pod => ({ pod, reason }));

function podChanges(cluster: RayCluster, pods: Pod[], options: PodOptions, context: PlanContext) {
  const deletions: Deletion[] = [];
  const creations: Manifest[] = [];
  const heads = pods.filter(isHead);
  // The head's name is always the same: the next can only come when the last has left it.
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
  return { deletions, creations };
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

function servicesToApply(cluster: RayCluster, services: Service[], hash: Hash): Manifest[] {
  return [headService(cluster), headlessService(cluster)].flatMap(manifest => {
    if (!manifest) return [];
    const applied = hash(canonical(manifest));
    const existing = services.find(({ metadata }) => metadata.name === manifest.metadata.name);
    if (existing?.metadata.annotations?.[annotations.appliedHash] === applied) return [];
    const marked = { ...manifest.metadata.annotations, [annotations.appliedHash]: applied };
    return [{ ...manifest, metadata: { ...manifest.metadata, annotations: marked } }];
  });
}

/** What the operator does not watch and makes sure of from time to time. */
export const unwatchedObjects = (cluster: RayCluster): Manifest[] => autoscalerAccess(cluster);
