/**
 * What a stream of jobs pays and how long it waits, by where each is placed: ours (without preferences, with `price=5,speed=0`,
 * and by price alone), first-fit and best-fit. The same jobs in the same order for all; on every end all that wait are tried again, first
 * come first tried. Two limits beside them: a fleet that is one pool of devices of no model, in which nothing is too
 * scattered or of the wrong kind, and each job on the cheapest node that it accepts, as if it were alone. Virtual time.
 */
import { evenWeights, Fleet, type FleetNode, type WorkerGroup } from '@iocloud/control-plane/core/matching';
import { OrderedHeap } from '@iocloud/control-plane/core/queueing';
import { GiB, pick, randomFrom, request } from './fleet-world.js';
import { percentile, report } from './measure.js';
import { fits, priceOf, type Rule, SimpleFit } from './simple-fit.js';
import { models, smallFleet } from './small-fleet.js';

const nodes = 120;
const jobs = 5_000;
const seeds = 5;
/** Of all devices, in use at all times if nothing ever waited. */
const offeredLoad = 0.85;
const meanHours = 1;

interface Job {
  id: string;
  atHours: number;
  hours: number;
  group: WorkerGroup;
}

/** Where one job goes, and how it leaves. */
interface Side {
  /** Micro-USD an hour; null: there is no room now. */
  take(job: Job): number | null;
  release(job: Job): void;
}

function stream(fleet: FleetNode[], random: () => number): Job[] {
  const exponential = (mean: number) => -mean * Math.log(1 - random());
  const sizes = [1, 1, 1, 2, 2, 4, 8];
  const meanDevices = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  const devices = fleet.reduce((sum, node) => sum + (node.pools[0]?.count ?? 0), 0);
  const everyHours = (meanDevices * meanHours) / (offeredLoad * devices);
  let atHours = 0;
  return Array.from({ length: jobs }, (_, index): Job => {
    atHours += exponential(everyHours);
    const wide = random();
    const one = pick(random, models);
    const accepted = wide < 0.4 ? [one] : wide < 0.7 ? [...new Set([one, pick(random, models)])] : [...models];
    const count = pick(random, sizes);
    const group = { name: 'workers', workers: 1, cpus: count, memoryBytes: GiB, devices: count };
    return {
      id: `job-${index}`,
      atHours,
      hours: exponential(meanHours),
      group: { ...group, accelerator: { models: accepted } },
    };
  });
}

function ours(fleet: FleetNode[], weights: typeof evenWeights): Side {
  const index = new Fleet();
  for (const node of fleet) index.upsert(node);
  return {
    take: ({ id, group }) => {
      const answer = index.place(request({ groups: [group], weights }));
      if ('refused' in answer) return null;
      index.take(id, answer);
      return answer.microUsdPerHour;
    },
    release: ({ id }) => index.release(id),
  };
}

function simple(fleet: FleetNode[], rule: Rule): Side {
  const free = new SimpleFit(fleet, rule);
  const where = new Map<string, string>();
  return {
    take: ({ id, group }) => {
      const node = free.take(group);
      if (node) where.set(id, node.nodeId);
      return node && priceOf(node, group);
    },
    release: ({ id, group }) => free.release(where.get(id) ?? '', group),
  };
}

function onePool(fleet: FleetNode[]): Side {
  let free = fleet.reduce((sum, node) => sum + (node.pools[0]?.count ?? 0), 0);
  return {
    take: ({ group }) => {
      if (group.devices > free) return null;
      free -= group.devices;
      return 0;
    },
    release: ({ group }) => {
      free += group.devices;
    },
  };
}

const carries = (node: FleetNode, group: WorkerGroup) =>
  fits(node, group) && (node.pools[0]?.count ?? 0) >= group.devices && node.cpus >= group.cpus;
const cheapest = (fleet: FleetNode[], group: WorkerGroup) =>
  Math.min(...fleet.filter(node => carries(node, group)).map(node => priceOf(node, group)));

function run(side: Side, all: Job[]) {
  const ends = new OrderedHeap<{ atHours: number; job: Job }>((one, other) =>
    one.atHours === other.atHours ? one.job.id < other.job.id : one.atHours < other.atHours,
  );
  let waiting: Job[] = [];
  const waitsHours: number[] = [];
  let microUsd = 0;
  let deviceHours = 0;
  const tryAt = (nowHours: number) => {
    waiting = waiting.filter(job => {
      const price = side.take(job);
      if (price === null) return true;
      waitsHours.push(nowHours - job.atHours);
      microUsd += price * job.hours;
      deviceHours += job.group.devices * job.hours;
      ends.add({ atHours: nowHours + job.hours, job });
      return false;
    });
  };
  const endUntil = (untilHours: number) => {
    for (let end = ends.first(); end && end.atHours <= untilHours; end = ends.first()) {
      ends.remove(end);
      side.release(end.job);
      tryAt(end.atHours);
    }
  };
  for (const job of all) {
    endUntil(job.atHours);
    waiting.push(job);
    tryAt(job.atHours);
  }
  endUntil(Number.POSITIVE_INFINITY);
  if (waiting.length > 0) throw new Error(`${waiting.length} jobs were never placed`);
  return { waitsHours, microUsd, deviceHours };
}

const sides = {
  ours: (fleet: FleetNode[]) => ours(fleet, evenWeights),
  oursPreferringPrice: (fleet: FleetNode[]) => ours(fleet, { ...evenWeights, price: 5, speed: 0 }),
  oursByPriceAlone: (fleet: FleetNode[]) =>
    ours(fleet, { price: 1, speed: 0, place: 0, reputation: 0, stake: 0, load: 0, fit: 0 }),
  firstFit: (fleet: FleetNode[]) => simple(fleet, 'firstFit'),
  bestFit: (fleet: FleetNode[]) => simple(fleet, 'bestFit'),
  onePool,
};
const waits = new Map<string, number[]>();
const paid = new Map<string, number>();
let least = 0;
for (let seed = 1; seed <= seeds; seed += 1) {
  const random = randomFrom(seed);
  const fleet = smallFleet({ nodes, inUse: () => 0 }, random);
  const all = stream(fleet, random).filter(({ group }) => fleet.some(node => carries(node, group)));
  for (const { group, hours } of all) least += cheapest(fleet, group) * hours;
  for (const [name, make] of Object.entries(sides)) {
    const { waitsHours, microUsd } = run(make(fleet), all);
    waits.set(name, [...(waits.get(name) ?? []), ...waitsHours]);
    paid.set(name, (paid.get(name) ?? 0) + microUsd);
  }
}
const summary = (name: string) => {
  const minutes = (waits.get(name) ?? []).map(hours => 60 * hours);
  return {
    meanWaitMinutes: minutes.reduce((sum, value) => sum + value, 0) / minutes.length,
    p95WaitMinutes: percentile(minutes, 95),
    p99WaitMinutes: percentile(minutes, 99),
    paidOverCheapest: (paid.get(name) ?? 0) / least,
  };
};
const [mine, first, best] = ['ours', 'firstFit', 'bestFit'].map(summary);
report('placement-wait', {
  peer: 'first-fit and best-fit with the same jobs',
  nodes,
  jobs: jobs * seeds,
  offeredLoad,
  ...Object.fromEntries(Object.keys(sides).map(name => [name, summary(name)])),
  ratio: {
    waitOfFirstFit: (mine?.meanWaitMinutes ?? 0) / (first?.meanWaitMinutes ?? 0),
    waitOfBestFit: (mine?.meanWaitMinutes ?? 0) / (best?.meanWaitMinutes ?? 0),
    priceOfFirstFit: (mine?.paidOverCheapest ?? 0) / (first?.paidOverCheapest ?? 0),
    priceOfBestFit: (mine?.paidOverCheapest ?? 0) / (best?.paidOverCheapest ?? 0),
  },
});
