/**
 * How fast RayClusters become ready, beside a bare client that makes as many like pods and nothing else: the same bed,
 * nodes and scheduler, in turns. KWOK plays the kubelets.
 *
 *     node e2e/dist/bench/ray-operator.bench.js [one|many|large …]        (all when none is said)
 */
import { loadavg } from 'node:os';
import { collectionPath, labels, objectPath, type RayCluster, resources } from '@iocloud/ray-operator';
import { median, report } from './measure.js';
import { Arena } from './rayclusters/arena.js';
import { each, hasWorkers, rayCluster, timed } from './rayclusters/pods.js';

const limitMinutes = 12;
const nodes = 20;
const cases = {
  one: { clusters: 1, workers: 100, rounds: 3 },
  many: { clusters: 100, workers: 9, rounds: 1 },
  large: { clusters: 1, workers: 1_000, rounds: 1 },
} as const;
type Case = (typeof cases)[keyof typeof cases];

async function ours(arena: Arena, { clusters, workers }: Case, round: number) {
  const { admin } = arena;
  const names = Array.from({ length: clusters }, (_, index) => `bench-${round}-${index}`);
  await arena.startOperator();
  const path = collectionPath(resources.rayClusters, 'default');
  const seconds = await timed<RayCluster>(admin, path, clusters, hasWorkers(workers), () =>
    each(names, name => admin.create(resources.rayClusters, rayCluster(name, workers))),
  );
  const { cpuSeconds, writes } = await arena.cost();
  const peakMiB = arena.memoryMiB('VmHWM');
  await arena.takeSamples(`${labels.cluster}=${names[0]}`);
  await each(names, async name => {
    await admin.delete(
      resources.rayClusters,
      await admin.get<RayCluster>(objectPath(resources.rayClusters, 'default', name)),
    );
  });
  await arena.empty('default');
  await arena.stopOperator();
  return { seconds, cpuSeconds, peakMiB, writesPerPod: writes / (clusters * (workers + 1)) };
}

await Arena.run(limitMinutes, nodes, async arena => {
  const chosen = process.argv.slice(2);
  for (const [name, what] of Object.entries(cases)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const loadBefore = loadavg()[0];
    const rounds: Awaited<ReturnType<typeof ours>>[] = [];
    const peers: number[] = [];
    for (let round = 0; round < what.rounds; round += 1) {
      rounds.push(await ours(arena, what, round));
      peers.push(await arena.bare(what.clusters, what.clusters * what.workers));
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
});
