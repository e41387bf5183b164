/** The pods of a cluster, made of its templates. */
import type { Container, HeadGroupSpec, PodTemplate, WorkerGroupSpec } from '../api/raycluster.js';
import { autoscalerContainer } from './autoscaler.js';
import {
  authentication,
  type EnvVar,
  headAddress,
  headEnvironment,
  merged,
  usesAutoscalerV2,
  usesFaultTolerance,
  workerEnvironment,
} from './environment.js';
import type { Manifest, RayCluster } from './kubernetes-objects.js';
import * as names from './names.js';
import { probes } from './probes.js';
import { gcsPort, headStartCommand, workerStartCommand } from './ray-start.js';
import { rayContainer } from './resources.js';

type Fields = Record<string, unknown>;
type NamedFields = Fields & { name?: unknown };

const sharedMemory = 'shared-mem';
const logs = 'ray-logs';

export interface PodOptions {
  specHash: string;
  /** Whether workers wait for the head before they start. */
  waitForHead: boolean;
}

export function headPod(cluster: RayCluster, options: PodOptions): Manifest {
  const group = cluster.spec.headGroupSpec;
  const { name, namespace } = cluster.metadata;
  const redis = cluster.spec.gcsFaultToleranceOptions;
  const startCommand = headStartCommand(group, {
    autoscaling: cluster.spec.enableInTreeAutoscaling === true,
    redis: redis && { username: redis.redisUsername !== undefined, password: redis.redisPassword !== undefined },
  });
  const autoscaling = cluster.spec.enableInTreeAutoscaling === true;
  const container = rayNode(cluster, group, startCommand, headEnvironment(cluster, startCommand), true);
  container.ports = withDefaultPorts(container.ports as Fields[] | undefined, gcsPort(group));
  const pod = podOf(cluster, group.template, container, {
    name: names.headPodName(name),
    nodeType: 'head',
    group: names.headGroupName,
    options,
  });
  if (autoscaling) {
    const spec = pod.spec as Fields & { containers: Fields[]; volumes: Fields[] };
    spec.serviceAccountName ??= names.autoscalerAccountName(name);
    // The autoscaler writes its log where Ray's dashboard looks for it.
    const mount = { name: logs, mountPath: '/tmp/ray' };
    if (!hasMount(container, mount.mountPath)) container.volumeMounts = [...list(container.volumeMounts), mount];
    if (!spec.volumes.some(volume => volume.name === logs)) spec.volumes.push({ name: logs, emptyDir: {} });
    spec.containers.push(autoscalerContainer(cluster, namespace, mount));
    // A node that the second autoscaler has given up is not to come back under the same name.
    if (usesAutoscalerV2(cluster)) spec.restartPolicy = 'Never';
  }
  return pod;
}

export interface WorkerIdentity {
  name: string;
  /** Of a group whose replicas have several hosts. */
  replica?: { name: string; hostIndex: number };
}

export function workerPod(cluster: RayCluster, group: WorkerGroupSpec, id: WorkerIdentity, options: PodOptions) {
  const address = headAddress(cluster).find(({ name }) => name === 'RAY_ADDRESS')?.value as string;
  const startCommand = workerStartCommand(group, address);
  const container = rayNode(cluster, group, startCommand, workerEnvironment(cluster, startCommand), false);
  const pod = podOf(cluster, group.template, container, {
    name: id.name,
    nodeType: 'worker',
    group: group.groupName,
    options,
  });
  const spec = pod.spec as Fields;
  if (options.waitForHead) spec.initContainers = [...list(spec.initContainers), waitingContainer(cluster, container)];
  if (id.replica) {
    Object.assign(pod.metadata.labels ?? {}, {
      [names.labels.replicaName]: id.replica.name,
      [names.labels.hostIndex]: String(id.replica.hostIndex),
    });
    // Hosts of a replica speak to one another by name.
    spec.subdomain ??= names.headlessServiceName(cluster.metadata.name);
    spec.hostname ??= id.name;
  }
  if (usesAutoscalerV2(cluster)) spec.restartPolicy = 'Never';
  return pod;
}

interface Role {
  name: string;
  nodeType: 'head' | 'worker';
  group: string;
  options: PodOptions;
}

function podOf(cluster: RayCluster, template: PodTemplate, container: Fields, role: Role): Manifest {
  const { name, namespace } = cluster.metadata;
  const spec = template.spec as Fields;
  const volumes = [...list(spec.volumes)];
  if (!volumes.some(volume => volume.name === sharedMemory)) addSharedMemory(container, volumes);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: role.name,
      namespace,
      labels: {
        ...template.metadata?.labels,
        ...names.commonLabels(cluster),
        [names.labels.nodeType]: role.nodeType,
        [names.labels.group]: role.group,
        [names.labels.isRayNode]: 'yes',
        [names.labels.identifier]: `${name}-${role.nodeType}`,
      },
      annotations: {
        ...template.metadata?.annotations,
        ...(usesFaultTolerance(cluster) ? { [names.annotations.faultTolerance]: 'true' } : {}),
        [names.annotations.specHash]: role.options.specHash,
      },
      ownerReferences: [names.ownedBy(cluster)],
    },
    spec: { ...spec, containers: [container, ...template.spec.containers.slice(1)], volumes },
  };
}

function rayNode(
  cluster: RayCluster,
  group: HeadGroupSpec | WorkerGroupSpec,
  startCommand: string,
  environment: EnvVar[],
  isHead: boolean,
): Fields {
  const given = rayContainer(group.template);
  const container: Fields = { ...probes(group, isHead), ...given, env: merged(given.env, environment) };
  if (group.template.metadata?.annotations?.[names.annotations.overwriteCommand] === 'true') return container;
  if (cluster.metadata.annotations?.[names.annotations.overwriteCommand] === 'true') return container;
  const before = [...(given.command ?? []), ...(given.args ?? [])].join(' ');
  container.command = ['/bin/bash', '-c', '--'];
  container.args = [before === '' ? startCommand : `${before} && ${startCommand}`];
  return container;
}

/** Starts workers' Ray only when the head answers, so that a worker that comes first does not crash in a loop. */
function waitingContainer(cluster: RayCluster, container: Fields): Fields {
  const script = [
    'until ray health-check --address "$FQ_RAY_IP:$RAY_PORT" >/dev/null 2>&1; do',
    'echo "waiting for the head at $FQ_RAY_IP:$RAY_PORT"; sleep 2; done',
  ].join(' ');
  return {
    name: 'wait-gcs-ready',
    image: container.image,
    ...(container.imagePullPolicy ? { imagePullPolicy: container.imagePullPolicy } : {}),
    ...(container.securityContext ? { securityContext: container.securityContext } : {}),
    ...(container.volumeMounts ? { volumeMounts: container.volumeMounts } : {}),
    command: ['/bin/bash', '-c', '--'],
    args: [script],
    env: merged(container.env as Fields[] | undefined, [...headAddress(cluster), ...authentication(cluster)]),
    resources: { requests: { cpu: '200m', memory: '256Mi' }, limits: { cpu: '200m', memory: '256Mi' } },
  };
}

const list = (value: unknown): NamedFields[] => (Array.isArray(value) ? value : []);
const hasMount = (container: Fields, path: string) =>
  list(container.volumeMounts).some(each => each.mountPath === path);

/** Ray's object store lives in /dev/shm, of which containers get 64 MiB by themselves. */
function addSharedMemory(container: Fields, volumes: Fields[]): void {
  const { limits, requests } = (container.resources ?? {}) as Container['resources'] & object;
  const sizeLimit = limits?.memory ?? requests?.memory;
  if (sizeLimit === undefined || hasMount(container, '/dev/shm')) return;
  container.volumeMounts = [...list(container.volumeMounts), { name: sharedMemory, mountPath: '/dev/shm' }];
  volumes.push({ name: sharedMemory, emptyDir: { medium: 'Memory', sizeLimit } });
}

function withDefaultPorts(given: Fields[] | undefined, gcs: string): Fields[] {
  const defaults = [
    { name: 'gcs-server', containerPort: Number(gcs) },
    { name: 'dashboard', containerPort: names.ports.dashboard },
    { name: 'client', containerPort: names.ports.client },
    { name: 'metrics', containerPort: names.ports.metrics },
  ];
  const taken = new Set((given ?? []).flatMap(port => [port.name, port.containerPort]));
  return [...(given ?? []), ...defaults.filter(port => !taken.has(port.name) && !taken.has(port.containerPort))];
}
