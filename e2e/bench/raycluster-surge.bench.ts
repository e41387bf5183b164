/**
 * 100 RayClusters scaled at once from 0 to 100 workers each, on 100 nodes: until all are ready, beside a bare client that
 * makes as many like pods; and how long the unluckiest of them waits for its first worker. KWOK plays the kubelets.
 *
 *     node e2e/dist/bench/raycluster-surge.bench.js [clusters [workers of each]]
 */
import { collectionPath, labels, objectPath, type Pod, type RayCluster, resources } from '@iocloud/ray-operator';
import { report } from './measure.js';
import { Arena } from './rayclusters/arena.js';
import { each, hasWorkers, podIsReady, rayCluster, timed, workerGroup } from './rayclusters/pods.js';

const limitMinutes = 20;
const [clusters = 100, workers = 100] = process.argv.slice(2).map(Number);
const podsOfNode = 110;
const nodes = Math.ceil((clusters * (workers + 1)) / podsOfNode) + 8;

const names = Array.from({ length: clusters }, (_, index) => `surge-${index}`);
const firstSeen = (times: Map<string, number>, { metadata }: Pod) => {
  const cluster = metadata.labels?.[labels.cluster] ?? '';
  if (!times.has(cluster)) times.set(cluster, performance.now());
};

await Arena.run(limitMinutes, nodes, async arena => {
  const { admin } = arena;
  await arena.startOperator();
  const path = collectionPath(resources.rayClusters, 'default');
  await timed<RayCluster>(admin, path, clusters, hasWorkers(0), () =>
    each(names, name => admin.create(resources.rayClusters, rayCluster(name, 0))),
  );
  await arena.cost();
  const asked = new Map<string, number>();
  const made = new Map<string, number>();
  const ready = new Map<string, number>();
  const isReady = (pod: Pod) => {
    firstSeen(made, pod);
    if (podIsReady(pod)) firstSeen(ready, pod);
    return podIsReady(pod);
  };
  const scale = async (name: string) => {
    asked.set(name, performance.now());
    await admin.merge(objectPath(resources.rayClusters, 'default', name), {
      spec: { workerGroupSpecs: [workerGroup(workers)] },
    });
  };
  const query = { labelSelector: `${labels.nodeType}=worker` };
  const seconds = await timed<Pod>(
    admin,
    arena.pods('default'),
    clusters * workers,
    isReady,
    () => each(names, scale),
    query,
  );
  const { cpuSeconds, requests, writes } = await arena.cost();
  const peakMiB = arena.memoryMiB('VmHWM');
  const waits = (times: Map<string, number>) =>
    names.map(name => ((times.get(name) ?? Number.POSITIVE_INFINITY) - (asked.get(name) ?? 0)) / 1000);
  await arena.takeSamples(`${labels.cluster}=${names[0]}`);
  await arena.bed.kubectl('delete', 'rayclusters', '--all');
  await arena.empty('default');
  await arena.stopOperator();
  const peerSeconds = await arena.bare(0, clusters * workers);
  const pods = clusters * workers;
  report('raycluster-surge', {
    clusters,
    workers,
    seconds,
    peerSeconds,
    // Above 1: pods become ready at a higher rate than the bare client's.
    ratio: peerSeconds / seconds,
    longestWaitForFirstWorkerMadeSeconds: Math.max(...waits(made)),
    longestWaitForFirstWorkerReadySeconds: Math.max(...waits(ready)),
    requestsPerPod: requests / pods,
    writesPerPod: writes / pods,
    cpuSeconds,
    peakMiB,
    loadBefore: arena.loadBefore,
  });
});
