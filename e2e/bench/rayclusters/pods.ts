/** What the benchmarks of the operator make, and how they wait for it: alike for the operator and for the bare client. */
import type { KubernetesClient, Manifest, ObjectList, Pod, RayCluster } from '@iocloud/ray-operator';

const parallel = 32;

export type Resources = Record<string, string>;
const small: Resources = { cpu: '1', memory: '1Gi' };

export const template = (name: string, limits = small) => ({
  spec: {
    containers: [{ name, image: 'rayproject/ray:2.60.0', resources: { limits } }],
    terminationGracePeriodSeconds: 0,
  },
});

export const workerGroup = (replicas: number, limits = small) => ({
  groupName: 'workers',
  replicas,
  template: template('ray-worker', limits),
});

export const rayClusterSpec = (workers: number, limits = small) => ({
  headGroupSpec: { template: template('ray-head') },
  workerGroupSpecs: [workerGroup(workers, limits)],
});

export const rayCluster = (name: string, workers: number): Manifest => ({
  apiVersion: 'ray.io/v1',
  kind: 'RayCluster',
  metadata: { name, namespace: 'default' },
  spec: rayClusterSpec(workers),
});

export async function each<T>(items: T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = [...items];
  const worker = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

interface Watched<T> {
  type: string;
  object: T;
}

/** Seconds from now until `count` different objects have been seen as `isReady` says, with what `begin` does under way. */
export async function timed<T extends { metadata: { uid: string; resourceVersion?: string } }>(
  client: KubernetesClient,
  path: string,
  count: number,
  isReady: (object: T) => boolean,
  begin: () => Promise<void>,
  query: Record<string, string> = {},
): Promise<number> {
  const { metadata } = await client.get<ObjectList<T>>(path, { ...query, limit: '1' });
  const over = new AbortController();
  let { resourceVersion } = metadata;
  let begun: Promise<void> | undefined;
  let began = 0;
  const ready = new Set<string>();
  // A watch that the server ends, as it does to one that falls behind, is taken up where it was.
  while (ready.size < count) {
    const stream = await client.watch(path, { ...query, resourceVersion }, over.signal);
    began ||= performance.now();
    begun ??= begin();
    for await (const line of stream) {
      const { type, object } = JSON.parse(line) as Watched<T>;
      if (type === 'ERROR') throw new Error(`the watch failed: ${line.slice(0, 300)}`);
      resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
      if (isReady(object)) ready.add(object.metadata.uid);
      if (ready.size === count) break;
    }
    stream.close();
  }
  const seconds = (performance.now() - began) / 1000;
  await begun;
  over.abort();
  return seconds;
}

export const podIsReady = ({ status }: Pod) =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

export const hasWorkers =
  (count: number) =>
  ({ status }: RayCluster) =>
    status?.state === 'ready' && status.readyWorkerReplicas === count;

/** The same pod once more, of no cluster: nobody but the client that makes it knows it. */
export function copyOf(pod: Pod | undefined, index: number): Manifest {
  if (!pod) throw new Error('no pod of the operator to copy');
  const { nodeName, ...spec } = (pod as unknown as { spec: Record<string, unknown> }).spec;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `${pod.metadata.name}-${index}`, namespace: 'bare', labels: pod.metadata.labels ?? {} },
    spec: withoutToken(spec),
  };
}

/** The volume that the API server adds by itself, and would add again. */
function withoutToken(spec: Record<string, unknown>): Record<string, unknown> {
  const isToken = ({ name }: { name: string }) => name.startsWith('kube-api-access-');
  const containers = (list: unknown) =>
    ((list ?? []) as { volumeMounts?: { name: string }[] }[]).map(container => ({
      ...container,
      volumeMounts: container.volumeMounts?.filter(mount => !isToken(mount)),
    }));
  return {
    ...spec,
    volumes: (spec.volumes as { name: string }[]).filter(volume => !isToken(volume)),
    containers: containers(spec.containers),
    ...(spec.initContainers ? { initContainers: containers(spec.initContainers) } : {}),
  };
}
