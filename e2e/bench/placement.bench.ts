/**
 * One placement decision as the fleet grows from 1,000 nodes to 125,000 with 1,000,000 devices: a worker, and a gang of
 * 10,000 devices (where there are as many). The peer decides the same by looking at every node in the same kind of arrays,
 * which is what a scheduler without an index does; it leaves out latency, memory, packing, owners and what is in use, all to
 * its advantage. Half of all devices are in use. `rare`: workers for which one node in 600 has all that is asked, though
 * each of it many have: what bounds of many nodes show least of.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Fleet, type FleetNode, type PlacementRequest } from '@iocloud/control-plane/core/matching';
import { Scan } from './fleet-scan.js';
import { GiB, node, oneWorker, randomFrom, request } from './fleet-world.js';
import { percentile, report } from './measure.js';

const sizes = [1_000, 4_000, 16_000, 64_000, 125_000];
const decisions = 5_000;
const rares = 1_000;
const scans = 300;
const gangs = 100;
const gangDevices = 10_000;

const gangsOf = (random: () => number): PlacementRequest => {
  const each = [1, 2, 4, 8][Math.floor(random() * 4)] as number;
  return request({
    groups: [
      {
        name: 'workers',
        workers: gangDevices / each,
        cpus: 4 * each,
        memoryBytes: each * 16 * GiB,
        devices: each,
        accelerator: random() < 0.5 ? { vendors: ['nvidia'], minMemoryBytes: 40 * GiB } : null,
      },
    ],
    spread: random() < 0.3 ? { by: 'supplier', maxWorkersEach: Math.ceil(80 / each) } : null,
    pack: random() < 0.8 ? 'pack' : 'spread',
  });
};

const rareOf = (random: () => number): PlacementRequest => ({
  ...oneWorker(random),
  compliance: ['soc2', 'hipaa', 'e2e-encrypted'],
  minConnectivity: 'ultra',
  network: 'infiniband',
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const bytesInUse = (): number => {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

/** Milliseconds of each call, and how many answers were refusals. */
function times<T>(list: T[], call: (one: T) => unknown): { ms: number[]; refused: number } {
  let refused = 0;
  const ms = list.map(one => {
    const started = performance.now();
    const answer = call(one);
    const took = performance.now() - started;
    if (typeof answer === 'object' && answer !== null && 'refused' in answer) refused += 1;
    return took;
  });
  return { ms, refused };
}

/** So that the first sizes are not charged with the code that is compiled on the way. */
function warmUp(): void {
  const fleet = new Fleet();
  const random = randomFrom(1);
  for (let number = 0; number < 4_000; number++) fleet.upsert(node(number, random));
  for (let number = 0; number < 4_000; number++) {
    const answer = fleet.place(oneWorker(random));
    if (!('refused' in answer)) fleet.take(String(number), answer);
  }
}

warmUp();
const growth: Record<string, unknown>[] = [];
for (const nodes of sizes) {
  const before = bytesInUse();
  const fleet = new Fleet();
  let random = randomFrom(1);
  let devices = 0;
  const started = performance.now();
  for (let number = 0; number < nodes; number++) {
    const one = node(number, random);
    fleet.upsert(one);
    devices += one.pools[0]?.count ?? 0;
  }
  const upsertUs = ((performance.now() - started) * 1_000) / nodes;
  const bytesPerNode = (bytesInUse() - before) / nodes;

  random = randomFrom(2);
  let held = 0;
  for (let holder = 0; held < devices / 2; holder++) {
    const answer = fleet.place(oneWorker(random));
    if ('refused' in answer) continue;
    fleet.take(String(holder), answer);
    held += answer.workers.reduce((total, worker) => total + worker.deviceIndices.length * worker.share, 0);
  }
  const requests = Array.from({ length: decisions }, () => oneWorker(random));
  times(requests.slice(0, 1_000), one => fleet.place(one));
  const one = times(requests, each => fleet.place(each));

  const rareRequests = Array.from({ length: rares }, () => rareOf(random));
  const rare = times(rareRequests, each => fleet.place(each));

  const fleetNodes: FleetNode[] = [];
  random = randomFrom(1);
  for (let number = 0; number < nodes; number++) fleetNodes.push(node(number, random));
  const scan = new Scan(fleetNodes);
  times(requests.slice(0, 50), each => scan.best(each));
  const scanned = times(requests.slice(0, scans), each => scan.best(each));

  random = randomFrom(3);
  const gangRequests = Array.from({ length: gangs }, () => gangsOf(random));
  times(gangRequests.slice(0, 5), each => fleet.place(each));
  const gang = times(gangRequests, each => fleet.place(each));
  growth.push({
    nodes,
    devices,
    bytesPerNode,
    upsertUs,
    oneWorker: {
      p50Us: percentile(one.ms, 50) * 1_000,
      p99Us: percentile(one.ms, 99) * 1_000,
      maxUs: Math.max(...one.ms) * 1_000,
      refused: one.refused,
    },
    rare: {
      p50Us: percentile(rare.ms, 50) * 1_000,
      p99Us: percentile(rare.ms, 99) * 1_000,
      maxUs: Math.max(...rare.ms) * 1_000,
      refused: rare.refused,
    },
    scan: { p50Us: percentile(scanned.ms, 50) * 1_000, p99Us: percentile(scanned.ms, 99) * 1_000 },
    gang: { p50Ms: percentile(gang.ms, 50), p99Ms: percentile(gang.ms, 99), refused: gang.refused },
  });
}
report('placement', {
  peer: 'a scan of all nodes over the same arrays',
  decisions,
  gangs,
  gangDevices,
  growth,
  aim: { oneWorkerP99Us: 1_000, gangP99Ms: 100, bytesPerNode: 1_024 },
});
