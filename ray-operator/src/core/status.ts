/** What the operator says of a cluster: counts, head, conditions; compatible with what KubeRay's clients read. */
import type { RayClusterStatus } from '../api/raycluster.js';
import { type Finding, isTrue, withFindings } from './conditions.js';
import type { Pod, RayCluster, Service } from './kubernetes-objects.js';
import { headServiceName } from './names.js';
import { endOf, isHead, isLeaving, isReady, troubleOf } from './pod-health.js';
import { formatCount, formatMemory } from './quantity.js';
import { podResources } from './resources.js';
import { desiredReplicas } from './worker-groups.js';

export const conditionTypes = {
  provisioned: 'RayClusterProvisioned',
  headReady: 'HeadPodReady',
  replicaFailure: 'ReplicaFailure',
  suspending: 'RayClusterSuspending',
  suspended: 'RayClusterSuspended',
  valid: 'SpecValid',
} as const;

export interface StatusInput {
  cluster: RayCluster;
  pods: Pod[];
  headService: Service | undefined;
  problems: string[];
  /** What the last attempt to make or delete pods failed with. */
  failure: { reason: string; message: string } | undefined;
  now: string;
}

export function statusOf(input: StatusInput): RayClusterStatus {
  const { cluster, problems, now } = input;
  const previous = cluster.status ?? {};
  const generation = cluster.metadata.generation ?? 0;
  if (problems.length > 0) {
    const message = problems.join('; ');
    const findings: Finding[] = [{ type: conditionTypes.valid, status: 'False', reason: 'InvalidSpec', message }];
    return {
      ...previous,
      reason: message,
      observedGeneration: generation,
      conditions: withFindings(previous.conditions ?? [], findings, generation, now),
    };
  }
  const conditions = withFindings(previous.conditions ?? [], findings(input), generation, now);
  const state = stateOf(conditions, previous.state);
  const status: RayClusterStatus = {
    ...counts(cluster, input.pods),
    ...desiredResources(cluster),
    observedGeneration: generation,
    conditions,
    head: head(input),
    endpoints: endpoints(input.headService),
    ...(state ? { state } : {}),
    ...(input.failure ? { reason: input.failure.message } : {}),
  };
  const transitions = { ...previous.stateTransitionTimes };
  if (state && state !== previous.state) transitions[state] = now;
  if (Object.keys(transitions).length > 0) status.stateTransitionTimes = transitions;
  return status;
}

/** Whether writing `next` would tell anybody anything. */
export function differs(
  previous: RayClusterStatus | undefined,
  next: RayClusterStatus,
  same: (value: unknown) => string,
) {
  const bare = ({ lastUpdateTime, ...rest }: RayClusterStatus) => same(rest);
  return bare(previous ?? {}) !== bare(next);
}

/** Whether the change is one of numbers alone, which a large cluster makes by the hundred while it starts. */
export function onlyCountsDiffer(
  previous: RayClusterStatus | undefined,
  next: RayClusterStatus,
  same: (value: unknown) => string,
) {
  const bare = ({
    lastUpdateTime,
    availableWorkerReplicas,
    readyWorkerReplicas,
    conditions,
    ...rest
  }: RayClusterStatus) => same({ ...rest, conditions: conditions?.map(({ message, ...kept }) => kept) });
  return previous !== undefined && bare(previous) === bare(next);
}

function findings(input: StatusInput): Finding[] {
  const { cluster, pods, failure } = input;
  const previous = cluster.status?.conditions;
  const list: Finding[] = [{ type: conditionTypes.valid, status: 'True', reason: 'Valid', message: '' }];
  list.push(headFinding(pods));
  const provisioned = isTrue(previous, conditionTypes.provisioned) || allReady(cluster, pods);
  const suspension = suspensionFindings(input);
  list.push(...suspension);
  const suspended = suspension.some(({ type, status }) => type === conditionTypes.suspended && status === 'True');
  if (provisioned && !suspended) {
    const reason = 'AllPodRunningAndReadyFirstTime';
    list.push({ type: conditionTypes.provisioned, status: 'True', reason, message: 'all pods were ready once' });
  } else {
    const message = suspended ? 'the cluster is suspended' : provisioningMessage(pods);
    list.push({ type: conditionTypes.provisioned, status: 'False', reason: 'RayClusterPodsProvisioning', message });
  }
  if (failure) list.push({ type: conditionTypes.replicaFailure, status: 'True', ...failure });
  else if (previous?.some(({ type }) => type === conditionTypes.replicaFailure)) {
    list.push({ type: conditionTypes.replicaFailure, status: 'False', reason: 'NoFailure', message: '' });
  }
  return list;
}

function headFinding(pods: Pod[]): Finding {
  const type = conditionTypes.headReady;
  const pod = pods.find(each => isHead(each) && !isLeaving(each));
  if (!pod) return { type, status: 'False', reason: 'HeadPodNotFound', message: 'there is no head pod' };
  if (isReady(pod)) return { type, status: 'True', reason: 'HeadPodRunningAndReady', message: '' };
  const end = endOf(pod);
  if (end) return { type, status: 'False', reason: 'HeadPodEnded', message: end };
  const { reason, message } = troubleOf(pod) ?? { reason: 'HeadPodNotReady', message: 'the head pod is starting' };
  return { type, status: 'False', reason, message };
}

/** One at a time is true: Suspending while pods go, Suspended once they are gone. */
function suspensionFindings({ cluster, pods }: StatusInput): Finding[] {
  const { suspending, suspended } = conditionTypes;
  const previous = cluster.status?.conditions;
  const finding = (type: string, status: 'True' | 'False', reason: string): Finding => ({
    type,
    status,
    reason,
    message: '',
  });
  if (isSuspending(cluster)) {
    const gone = pods.length === 0;
    return [
      finding(suspending, gone ? 'False' : 'True', 'UserRequestedSuspend'),
      finding(suspended, gone ? 'True' : 'False', 'UserRequestedSuspend'),
    ];
  }
  if (!previous?.some(({ type }) => type === suspended)) return [];
  return [finding(suspending, 'False', 'UserRequestedResume'), finding(suspended, 'False', 'UserRequestedResume')];
}

/** A suspension that has begun is carried through even if the user thinks better of it: half a cluster is none. */
export const isSuspending = ({ spec, status }: RayCluster) =>
  spec.suspend === true || isTrue(status?.conditions, conditionTypes.suspending);

export function desiredWorkers(cluster: RayCluster): number {
  return (cluster.spec.workerGroupSpecs ?? []).reduce((sum, each) => sum + desiredReplicas(each) * each.numOfHosts, 0);
}

function allReady(cluster: RayCluster, pods: Pod[]): boolean {
  const ready = pods.filter(isReady);
  return ready.some(isHead) && ready.filter(pod => !isHead(pod)).length >= desiredWorkers(cluster);
}

function provisioningMessage(pods: Pod[]): string {
  const stuck = pods.filter(pod => !isLeaving(pod) && !isReady(pod)).find(troubleOf);
  const trouble = stuck && troubleOf(stuck);
  return trouble ? `${stuck.metadata.name}: ${trouble.reason} ${trouble.message}`.trim() : 'pods are starting';
}

function stateOf(conditions: RayClusterStatus['conditions'], previous: string | undefined): string | undefined {
  if (isTrue(conditions, conditionTypes.suspended)) return 'suspended';
  if (isTrue(conditions, conditionTypes.provisioned)) return 'ready';
  return previous === 'suspended' ? undefined : previous;
}

function counts(cluster: RayCluster, pods: Pod[]) {
  const groups = cluster.spec.workerGroupSpecs ?? [];
  const workers = pods.filter(pod => !isHead(pod) && !isLeaving(pod));
  const hosts = (of: (group: (typeof groups)[number]) => number) =>
    groups.reduce((sum, group) => Math.min(sum + (group.suspend ? 0 : of(group)) * group.numOfHosts, 2_147_483_647), 0);
  return {
    desiredWorkerReplicas: desiredWorkers(cluster),
    availableWorkerReplicas: workers.filter(({ status }) => status?.phase === 'Running').length,
    readyWorkerReplicas: workers.filter(isReady).length,
    minWorkerReplicas: hosts(({ minReplicas }) => minReplicas),
    maxWorkerReplicas: hosts(({ maxReplicas }) => maxReplicas),
  };
}

function desiredResources(cluster: RayCluster) {
  const parts = [
    { pods: 1n, template: cluster.spec.headGroupSpec.template },
    ...(cluster.spec.workerGroupSpecs ?? []).map(group => ({
      pods: BigInt(desiredReplicas(group) * group.numOfHosts),
      template: group.template,
    })),
  ].map(({ pods, template }) => ({ pods, each: podResources(template) }));
  const sum = (of: (each: ReturnType<typeof podResources>) => bigint) =>
    parts.reduce((total, { pods, each }) => total + pods * of(each), 0n);
  return {
    desiredCPU: formatCount(sum(each => each.cpuMilli)),
    desiredMemory: formatMemory(sum(each => each.memoryMilliBytes)),
    desiredGPU: formatCount(sum(each => each.gpuMilli)),
    desiredTPU: formatCount(sum(each => each.tpuMilli)),
  };
}

function head({ cluster, pods, headService }: StatusInput): NonNullable<RayClusterStatus['head']> {
  const pod = pods.find(each => isHead(each) && !isLeaving(each));
  const serviceIP = headService?.spec?.clusterIP === 'None' ? pod?.status?.podIP : headService?.spec?.clusterIP;
  return {
    serviceName: headServiceName(cluster.metadata.name),
    ...(pod ? { podName: pod.metadata.name } : {}),
    ...(pod?.status?.podIP ? { podIP: pod.status.podIP } : {}),
    ...(serviceIP ? { serviceIP } : {}),
  };
}

/** Ports by name; of a service that is reached through its nodes, the nodes' ports. */
function endpoints(service: Service | undefined): Record<string, string> {
  const ports = service?.spec?.ports ?? [];
  return Object.fromEntries(ports.map(({ name, port, nodePort }) => [name ?? String(port), String(nodePort ?? port)]));
}
