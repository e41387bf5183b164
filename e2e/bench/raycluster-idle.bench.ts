/**
 * 1,000 RayClusters of a head and three workers: until all are ready, beside a bare client that makes as many like pods;
 * what they cost the operator afterwards while nothing happens to them, and its memory for each. KWOK plays the kubelets.
 *
 *     node e2e/dist/bench/raycluster-idle.bench.js [clusters]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { collectionPath, labels, type RayCluster, resources } from '@iocloud/ray-operator';
import { until } from '../src/harness/index.js';
import { report } from './measure.js';
import { Arena } from './rayclusters/arena.js';
import { each, hasWorkers, rayCluster, timed } from './rayclusters/pods.js';

const limitMinutes = 15;
const [clusters = 1_000] = process.argv.slice(2).map(Number);
const workers = 3;
const idleSeconds = 60;
const podsOfNode = 110;
const nodes = Math.ceil((clusters * (workers + 1)) / podsOfNode) + 2;

await Arena.run(limitMinutes, nodes, async arena => {
  const { admin } = arena;
  const operator = await arena.startOperator();
  const emptyMiB = arena.memoryMiB('VmRSS');
  const names = Array.from({ length: clusters }, (_, index) => `idle-${index}`);
  const path = collectionPath(resources.rayClusters, 'default');
  const seconds = await timed<RayCluster>(admin, path, clusters, hasWorkers(workers), () =>
    each(names, name => admin.create(resources.rayClusters, rayCluster(name, workers))),
  );
  const pods = clusters * (workers + 1);
  const busy = await arena.cost();
  // What comes after the last became ready, as its status and events, is no idle cost.
  await until('nothing waits', 60_000, async () => (await operator.metric('workqueue_depth')) === 0);
  await sleep(5_000);
  await arena.cost();
  await sleep(idleSeconds * 1000);
  const idle = await arena.cost();
  const [standingMiB, peakMiB] = [arena.memoryMiB('VmRSS'), arena.memoryMiB('VmHWM')];
  await arena.takeSamples(`${labels.cluster}=${names[0]}`);
  await arena.bed.kubectl('delete', 'rayclusters', '--all', '--wait=false');
  await arena.empty('default');
  await arena.stopOperator();
  const peerSeconds = await arena.bare(clusters, clusters * workers);
  report('raycluster-idle', {
    clusters,
    workers,
    seconds,
    peerSeconds,
    // Above 1: pods become ready at a higher rate than the bare client's.
    ratio: peerSeconds / seconds,
    writesPerPod: busy.writes / pods,
    cpuSeconds: busy.cpuSeconds,
    idleSeconds,
    idleCpuSeconds: idle.cpuSeconds,
    idleRequests: idle.requests,
    kibPerCluster: ((standingMiB - emptyMiB) * 1024) / clusters,
    kibPerPod: ((standingMiB - emptyMiB) * 1024) / pods,
    emptyMiB,
    standingMiB,
    peakMiB,
    loadBefore: arena.loadBefore,
  });
});
