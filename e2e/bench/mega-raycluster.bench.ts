/**
 * A MegaRayCluster of 10,000 GPUs, 25 cells of 50 workers with eight each, from its creation until all of it is ready,
 * beside a bare client that makes as many like pods and nothing else on the same bed. KWOK plays 1,300 nodes.
 *
 *     node e2e/dist/bench/mega-raycluster.bench.js [cells [workers of each]]
 */
import { collectionPath, type MegaRayCluster, resources } from '@iocloud/ray-operator';
import { report } from './measure.js';
import { Arena } from './rayclusters/arena.js';
import { rayClusterSpec, timed } from './rayclusters/pods.js';

const limitMinutes = 15;
const [cells = 25, workers = 50] = process.argv.slice(2).map(Number);
const gpusOfNode = 8;
/** A node for each worker, and some for the heads. */
const nodes = cells * workers + Math.ceil(cells / 2);

const limits = { cpu: '96', memory: '1Ti', 'nvidia.com/gpu': String(gpusOfNode) };

await Arena.run(limitMinutes, nodes, async arena => {
  await arena.startOperator();
  const path = collectionPath(resources.megaRayClusters, 'default');
  const isReady = ({ status }: MegaRayCluster) =>
    status?.readyReplicas === cells && status.readyWorkers === cells * workers;
  const seconds = await timed<MegaRayCluster>(arena.admin, path, 1, isReady, async () => {
    await arena.admin.create(resources.megaRayClusters, {
      apiVersion: 'mega.iocloud.io/v1alpha1',
      kind: 'MegaRayCluster',
      metadata: { name: 'fleet', namespace: 'default' },
      spec: { replicas: cells, cellGroups: [{ name: 'h100', template: { spec: rayClusterSpec(workers, limits) } }] },
    });
  });
  const { cpuSeconds, requests, writes } = await arena.cost();
  const peakMiB = arena.memoryMiB('VmHWM');
  await arena.takeSamples('ray.io/cluster');
  await arena.bed.kubectl('delete', 'megaraycluster', 'fleet');
  await arena.empty('default');
  await arena.stopOperator();
  const peerSeconds = await arena.bare(cells, cells * workers);
  const pods = cells * (workers + 1);
  report('mega-raycluster', {
    cells,
    workers,
    gpus: cells * workers * gpusOfNode,
    pods,
    seconds,
    peerSeconds,
    // Above 1: pods become ready at a higher rate than the bare client's.
    ratio: peerSeconds / seconds,
    requestsPerPod: requests / pods,
    writesPerPod: writes / pods,
    cpuSeconds,
    peakMiB,
    loadBefore: arena.loadBefore,
  });
});
