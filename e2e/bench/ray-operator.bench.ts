/**
 * How fast RayClusters become ready, beside a bare client that makes as many like pods and nothing else: the same bed,
 * nodes and scheduler, in turns. KWOK plays the kubelets.
 *
 *     node e2e/dist/bench/ray-operator.bench.js [one|many …]        (both when none is said)
 */
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import {
  collectionPath,
  type KubernetesClient,
  labels,
  type Manifest,
  type ObjectList,
  objectPath,
  type Pod,
  type RayCluster,
  resources,
} from '@iocloud/ray-operator';
import { Bed } from '../kubernetes/bed.js';
import { cpuSecondsOf } from '../kubernetes/component.js';
import { installOperator, OperatorProcess } from '../kubernetes/operator-process.js';
import { until } from '../src/harness/index.js';
import { median, report } from './measure.js';

const limitMs = 8 * 60_000;
const nodes = 20;
const parallel = 32;
const cases = {
  one: { clusters: 1, workers: 100, rounds: 3 },
  many: { clusters: 100, workers: 9, rounds: 1 },
} as const;
type Case = (typeof cases)[keyof typeof cases];

const limit = setTimeout(() => {
  process.stderr.write(`not done within ${limitMs / 60_000} minutes\n`);
  process.exit(1);
}, limitMs);

const template = (name: string) => ({
  spec: {
    containers: [{ name, image: 'rayproject/ray:2.60.0', resources: { limits: { cpu: '1', memory: '1Gi' } } }],
    terminationGracePeriodSeconds: 0,
  },
});

const cluster = (name: string, workers: number): Manifest => ({
  apiVersion: 'ray.io/v1',
  kind: 'RayCluster',
  metadata: { name, namespace: 'default' },
  spec: {
    headGroupSpec: { template: template('ray-head') },
    workerGroupSpecs: [{ groupName: 'workers', replicas: workers, template: template('ray-worker') }],
  },
});

async function each<T>(items: T[], work: (item: T) => Promise<unknown>): Promise<void> {
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
async function timed<T extends { metadata: { uid: string } }>(
  client: KubernetesClient,
  path: string,
  count: number,
  isReady: (object: T) => boolean,
  begin: () => Promise<void>,
): Promise<number> {
  const { metadata } = await client.get<ObjectList<T>>(path, { limit: '1' });
  const over = new AbortController();
  const stream = await client.watch(path, { resourceVersion: metadata.resourceVersion }, over.signal);
  const began = performance.now();
  const begun = begin();
  const ready = new Set<string>();
  for await (const line of stream) {
    const { object } = JSON.parse(line) as Watched<T>;
    if (isReady(object)) ready.add(object.metadata.uid);
    if (ready.size === count) break;
  }
  const seconds = (performance.now() - began) / 1000;
  await begun;
  stream.close();
  over.abort();
  return seconds;
}

const podIsReady = ({ status }: Pod) =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

const bed = await Bed.start({ kwok: true, prepare: installOperator });
try {
  await bed.addNodes(nodes);
  const admin = await bed.admin();
  await bed.kubectl('create', 'namespace', 'bare');
  const pods = (namespace: string) => collectionPath(resources.pods, namespace);
  const empty = (namespace: string) =>
    until('no pod is left', 120_000, async () => {
      const list = await admin.get<ObjectList<Pod>>(pods(namespace), { limit: '1' });
      return list.items.length === 0;
    });

  /** What the operator makes, to be made again by hand: pods of the same size. */
  const samples: { head?: Pod; worker?: Pod } = {};

  const ours = async ({ clusters, workers }: Case, round: number) => {
    const names = Array.from({ length: clusters }, (_, index) => `bench-${round}-${index}`);
    const operator = await OperatorProcess.start(bed, { RAY_OPERATOR_LEASE_SECONDS: '15' });
    await operator.said('following');
    const cpuBefore = await cpuSecondsOf(operator.pid);
    const isReady = ({ status }: RayCluster) => status?.state === 'ready' && status.readyWorkerReplicas === workers;
    const seconds = await timed<RayCluster>(
      admin,
      collectionPath(resources.rayClusters, 'default'),
      clusters,
      isReady,
      () => each(names, name => admin.create(resources.rayClusters, cluster(name, workers))),
    );
    const cpuSeconds = (await cpuSecondsOf(operator.pid)) - cpuBefore;
    const peakMiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${operator.pid}/status`, 'utf8'))?.[1]) / 1024;
    const count = (method: string) => operator.metric('rest_client_requests_total', `method="${method}"`);
    const writes = (await count('POST')) + (await count('PATCH')) + (await count('DELETE'));
    const first = await admin.get<ObjectList<Pod>>(pods('default'), { labelSelector: `${labels.cluster}=${names[0]}` });
    samples.head = first.items.find(({ metadata }) => metadata.labels?.[labels.nodeType] === 'head');
    samples.worker = first.items.find(({ metadata }) => metadata.labels?.[labels.nodeType] === 'worker');
    await each(names, async name => {
      await admin.delete(
        resources.rayClusters,
        await admin.get<RayCluster>(objectPath(resources.rayClusters, 'default', name)),
      );
    });
    await empty('default');
    await operator.stop();
    const made = clusters * (workers + 1);
    return { seconds, cpuSeconds, peakMiB, writesPerPod: writes / made };
  };

  const bare = async ({ clusters, workers }: Case) => {
    const copy = (pod: Pod | undefined, index: number): Manifest => {
      if (!pod) throw new Error('no pod of the operator to copy');
      const { nodeName, ...spec } = (pod as unknown as { spec: Record<string, unknown> }).spec;
      return {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `${pod.metadata.name}-${index}`, namespace: 'bare', labels: pod.metadata.labels ?? {} },
        spec: withoutToken(spec),
      };
    };
    const manifests = Array.from({ length: clusters * (workers + 1) }, (_, index) =>
      copy(index % (workers + 1) === 0 ? samples.head : samples.worker, index),
    );
    const seconds = await timed<Pod>(admin, pods('bare'), manifests.length, podIsReady, () =>
      each(manifests, manifest => admin.create(resources.pods, manifest)),
    );
    await bed.kubectl('-n', 'bare', 'delete', 'pods', '--all', '--wait=false');
    await empty('bare');
    return seconds;
  };

  const chosen = process.argv.slice(2);
  for (const [name, what] of Object.entries(cases)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const loadBefore = loadavg()[0];
    const rounds: Awaited<ReturnType<typeof ours>>[] = [];
    const peers: number[] = [];
    for (let round = 0; round < what.rounds; round += 1) {
      rounds.push(await ours(what, round));
      peers.push(await bare(what));
    }
    const seconds = median(rounds.map(each => each.seconds));
    const peerSeconds = median(peers);
    report('ray-operator', {
      case: name,
      ...what,
      seconds,
      peerSeconds,
      // Above 1: pods become ready at a higher rate than the bare client's.
      ratio: peerSeconds / seconds,
      writesPerPod: median(rounds.map(each => each.writesPerPod)),
      cpuSeconds: median(rounds.map(each => each.cpuSeconds)),
      peakMiB: Math.max(...rounds.map(each => each.peakMiB)),
      loadBefore,
    });
  }
} finally {
  clearTimeout(limit);
  await bed.stop();
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
