/** One worker group: its pods as they are → which to delete and which to make. */
import type { WorkerGroupSpec } from '../api/raycluster.js';
import type { Pod, RayCluster } from './kubernetes-objects.js';
import { labels, workerPodName } from './names.js';
import { endOf, isLeaving, isReady } from './pod-health.js';
import type { WorkerIdentity } from './pods.js';

export interface Deletion {
  pod: Pod;
  reason: string;
  /** Out of the API at once, though nobody has said that it ended. */
  force?: boolean;
}

export interface GroupPlan {
  deletions: Deletion[];
  creations: WorkerIdentity[];
}

/** Within the group's bounds, whatever was asked for. */
export function desiredReplicas(group: WorkerGroupSpec): number {
  if (group.suspend) return 0;
  return Math.min(Math.max(group.replicas, group.minReplicas), group.maxReplicas);
}

export interface GroupContext {
  cluster: RayCluster;
  newSuffix: () => string;
}

export function planGroup(group: WorkerGroupSpec, pods: Pod[], context: GroupContext): GroupPlan {
  return group.numOfHosts > 1 ? planReplicas(group, pods, context) : planSingles(group, pods, context);
}

const autoscales = ({ cluster }: GroupContext) => cluster.spec.enableInTreeAutoscaling === true;

function planSingles(group: WorkerGroupSpec, pods: Pod[], context: GroupContext): GroupPlan {
  const deletions: Deletion[] = [];
  const kept: Pod[] = [];
  const named = new Set(group.scaleStrategy?.workersToDelete);
  for (const pod of pods) {
    if (isLeaving(pod)) continue;
    const end = endOf(pod);
    if (named.has(pod.metadata.name)) deletions.push({ pod, reason: 'named in workersToDelete' });
    else if (end) deletions.push({ pod, reason: end });
    else if (group.suspend) deletions.push({ pod, reason: 'the group is suspended' });
    else kept.push(pod);
  }
  const surplus = kept.length - desiredReplicas(group);
  if (surplus > 0 && mayChoose(group, context)) {
    const victims = kept.sort(leastLossFirst).slice(0, surplus);
    deletions.push(...victims.map(pod => ({ pod, reason: 'the group was scaled down' })));
  }
  const taken = new Set(pods.map(({ metadata }) => metadata.name));
  const creations = Array.from({ length: Math.max(0, -surplus) }, () => ({ name: newName(group, context, taken) }));
  return { deletions, creations };
}

/** The autoscaler knows which workers are idle: only what lies above `maxReplicas` goes without its word. */
const mayChoose = (group: WorkerGroupSpec, context: GroupContext) =>
  !autoscales(context) || group.replicas > group.maxReplicas;

/** First what does no work yet, then the youngest; names decide what is left, so that every look chooses alike. */
function leastLossFirst(a: Pod, b: Pod): number {
  const ready = Number(isReady(a)) - Number(isReady(b));
  if (ready !== 0) return ready;
  const age = (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '');
  return age !== 0 ? age : a.metadata.name.localeCompare(b.metadata.name);
}

function newName(group: WorkerGroupSpec, { cluster, newSuffix }: GroupContext, taken: Set<string>): string {
  for (;;) {
    const name = workerPodName(cluster.metadata.name, group.groupName, newSuffix());
    // A name in workersToDelete would be deleted as soon as it is there.
    if (taken.has(name) || group.scaleStrategy?.workersToDelete?.includes(name)) continue;
    taken.add(name);
    return name;
  }
}

/** Replicas of several hosts live and die together: with one host a replica loses all. */
function planReplicas(group: WorkerGroupSpec, pods: Pod[], context: GroupContext): GroupPlan {
  const plan: GroupPlan = { deletions: [], creations: [] };
  const named = new Set(group.scaleStrategy?.workersToDelete);
  const taken = new Set(pods.map(({ metadata }) => metadata.name));
  const replicas = new Map<string, Pod[]>();
  for (const pod of pods) {
    const replica = pod.metadata.labels?.[labels.replicaName] ?? '';
    replicas.set(replica, [...(replicas.get(replica) ?? []), pod]);
  }
  const whole: { name: string; pods: Pod[] }[] = [];
  for (const [name, members] of replicas) {
    const reason = group.suspend ? 'the group is suspended' : brokenBy(name, members, named, group.numOfHosts);
    if (reason) plan.deletions.push(...staying(members).map(pod => ({ pod, reason })));
    else if (members.length > 0) whole.push({ name, pods: members });
  }
  const surplus = whole.length - desiredReplicas(group);
  if (surplus > 0 && mayChoose(group, context)) {
    whole.sort((a, b) => a.pods.filter(isReady).length - b.pods.filter(isReady).length || a.name.localeCompare(b.name));
    for (const replica of whole.splice(0, surplus)) {
      plan.deletions.push(...replica.pods.map(pod => ({ pod, reason: 'the group was scaled down' })));
    }
  }
  for (const replica of whole) addMissingHosts(replica.name, replica.pods);
  for (let missing = -surplus; missing > 0; missing -= 1) {
    let name: string;
    do name = `${group.groupName}-${context.newSuffix()}`.slice(-63);
    while (replicas.has(name));
    replicas.set(name, []);
    addMissingHosts(name, []);
  }
  return plan;

  function addMissingHosts(name: string, members: Pod[]): void {
    const present = new Set(members.map(pod => pod.metadata.labels?.[labels.hostIndex]));
    for (let hostIndex = 0; hostIndex < group.numOfHosts; hostIndex += 1) {
      if (present.has(String(hostIndex))) continue;
      plan.creations.push({ name: newName(group, context, taken), replica: { name, hostIndex } });
    }
  }
}

const staying = (pods: Pod[]) => pods.filter(pod => !isLeaving(pod));

function brokenBy(name: string, members: Pod[], named: Set<string>, hosts: number): string | undefined {
  if (name === '') return 'it belongs to no replica, as the group has several hosts in each now';
  if (members.some(pod => named.has(pod.metadata.name))) return 'a host of its replica is named in workersToDelete';
  const ended = members.find(endOf);
  if (ended) return `a host of its replica is gone (${ended.metadata.name}: ${endOf(ended)})`;
  if (members.some(isLeaving)) return 'a host of its replica is being deleted';
  // A ready host has had its peers: one that is missing now was lost, not just not made yet.
  if (members.length < hosts && members.some(isReady)) return 'a host of its replica is gone';
  if (members.length > hosts) return 'its replica has more hosts than the group now has';
  return undefined;
}
