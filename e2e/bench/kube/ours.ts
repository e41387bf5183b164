/** The same work on our core: in memory, nothing of it is written anywhere. */
import { Fleet } from '@iocloud/control-plane/core/matching';
import { GiB, node, randomFrom, request } from '../fleet-world.js';
import { type Arrival, arrival, modelOf, nodeShape, perGpu, standingGpus } from './mix.js';

export interface OurFigures {
  /** Places that were found and taken, a second; the leaving of as many is in that time. */
  perSecond: number;
  decisions: number;
  refused: number;
}

const asked = ({ model, gpus }: Arrival) =>
  request({
    groups: [
      {
        name: 'pod',
        workers: 1,
        cpus: gpus * perGpu.cpus,
        memoryBytes: gpus * perGpu.memoryGiB * GiB,
        devices: gpus,
        accelerator: { models: [model] },
      },
    ],
  });

/** Nodes are as unlike in price, place and reputation as in the other benchmarks, so every decision weighs all of that. */
function fleetOf(nodes: number): Fleet {
  const fleet = new Fleet();
  const random = randomFrom(1);
  const indices = Array.from({ length: nodeShape.gpus }, (_, index) => index);
  for (let number = 0; number < nodes; number++) {
    fleet.upsert({
      ...node(number, random),
      shared: true,
      schedulable: true,
      rayVersions: ['2.60.0'],
      cpus: nodeShape.cpus,
      memoryBytes: nodeShape.memoryGiB * GiB,
      pools: [{ model: modelOf(number), count: nodeShape.gpus, indices, simulated: true }],
    });
  }
  return fleet;
}

export function measureOurs(nodes: number, seconds: number): OurFigures {
  const fleet = fleetOf(nodes);
  const random = randomFrom(2);
  const limit = standingGpus(nodes);
  const held: { holder: string; gpus: number }[] = [];
  let oldest = 0;
  let inUse = 0;
  let number = 0;
  let refused = 0;
  const one = () => {
    const wanted = arrival(random);
    const holder = `pod-${number++}`;
    const answer = fleet.place(asked(wanted));
    if ('refused' in answer) {
      refused += 1;
      return;
    }
    fleet.take(holder, answer);
    held.push({ holder, gpus: wanted.gpus });
    inUse += wanted.gpus;
    for (let first = held[oldest]; inUse > limit && first; first = held[++oldest]) {
      fleet.release(first.holder);
      inUse -= first.gpus;
    }
  };
  while (oldest === 0) one();
  // The compiler has seen all of it by then.
  for (const warm = performance.now() + 2_000; performance.now() < warm; ) one();
  const before = { number, refused };
  const started = performance.now();
  while (performance.now() < started + seconds * 1_000) one();
  const tookS = (performance.now() - started) / 1_000;
  const decisions = number - before.number;
  refused -= before.refused;
  return { perSecond: (decisions - refused) / tookS, decisions, refused };
}
