/**
 * Sustained decisions on the full fleet (125,000 nodes, 1,000,000 devices): each places one worker, takes its place, and
 * once about half the devices are in use releases the one that came longest ago; a node's figures change every tenth time.
 */
import { Fleet, type FleetNode, type PlacementRequest } from '@iocloud/control-plane/core/matching';
import { node, oneWorker, randomFrom } from './fleet-world.js';
import { percentile, report } from './measure.js';

const nodes = 125_000;
const decisions = 100_000;
const changeEvery = 10;
const aimPerSecond = 20_000;

const fleet = new Fleet();
let random = randomFrom(1);
const all: FleetNode[] = [];
let devices = 0;
for (let number = 0; number < nodes; number++) {
  const one = node(number, random);
  all.push(one);
  fleet.upsert(one);
  devices += one.pools[0]?.count ?? 0;
}

random = randomFrom(2);
const held: { holder: string; devices: number }[] = [];
let inUse = 0;
let oldest = 0;
let refused = 0;

function decide(request: PlacementRequest, holder: string): void {
  const answer = fleet.place(request);
  if ('refused' in answer) {
    refused += 1;
    return;
  }
  fleet.take(holder, answer);
  const count = answer.workers.reduce((total, worker) => total + worker.deviceIndices.length * worker.share, 0);
  held.push({ holder, devices: count });
  inUse += count;
  while (inUse > devices / 2) {
    const first = held[oldest++];
    if (!first) break;
    fleet.release(first.holder);
    inUse -= first.devices;
  }
}

for (let number = 0; inUse < devices / 2 - 8; number++) decide(oneWorker(random), `before-${number}`);
refused = 0;

// Made beforehand: making requests is not the scheduler's work.
const requests = Array.from({ length: decisions }, () => oneWorker(random));
const changes = Array.from({ length: decisions / changeEvery }, () => {
  const one = all[Math.floor(random() * nodes)] as FleetNode;
  return { ...one, load: Math.round(random() * 1_000) / 1_000 };
});
const times: number[] = [];
const started = performance.now();
for (const [number, request] of requests.entries()) {
  const before = performance.now();
  decide(request, `job-${number}`);
  times.push(performance.now() - before);
  const change = number % changeEvery === 0 ? changes[number / changeEvery] : undefined;
  if (change) fleet.upsert(change);
}
const seconds = (performance.now() - started) / 1_000;
report('decisions', {
  nodes,
  devices,
  decisions,
  perSecond: decisions / seconds,
  p50Us: percentile(times, 50) * 1_000,
  p99Us: percentile(times, 99) * 1_000,
  refused,
  ratio: decisions / seconds / aimPerSecond,
  aim: `>= ${aimPerSecond} a second`,
});
