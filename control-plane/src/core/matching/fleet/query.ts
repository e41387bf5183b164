/** A request, made ready to be held against pools: names as numbers, amounts in units, weights as shares. */
import { priceReferenceMicroUsdPerCpuHour, priceReferenceMicroUsdPerDeviceHour, shares } from '../score.js';
import { type Area, areaOf } from './area.js';
import { interconnectTrait } from './features.js';
import type { Latencies } from './geography.js';
import { cpuUnitsOf, type Inventory } from './inventory.js';
import { type PlacementRequest, type ScoreParts, unitsPerDevice, type WorkerGroup } from './types.js';

/** Anti-affinity: how many workers each class of nodes has so far. */
export interface Caps {
  /** By node; null: each node is a class of its own. */
  classOf: Int32Array | null;
  most: number;
  counts: Map<number, number>;
}

/** Weights of price (1), reputation (2), stake (4) and load (8) as a chain of growing sets; see `bounds.ts`. */
export interface Chain {
  set1: number;
  weight1: number;
  set2: number;
  weight2: number;
  set3: number;
  weight3: number;
  weight4: number;
}

export interface GroupQuery {
  group: WorkerGroup;
  /** Its number in the request. */
  position: number;
  audiences: number[];
  models: number[];
  traits: number;
  rays: number;
  names: string[];
  /** Whole devices; 0 for a share of one. */
  whole: number;
  isShare: boolean;
  /** Of all of a worker's devices. */
  units: number;
  cpuUnits: number;
  memory: number;
  /** No worker may cost more, in micro-USD an hour. */
  ceiling: number;
  priceReference: number;
  /** So much may a worker's price part be above what CPUs alone cost there: amounts are rounded to units. */
  priceSlack: number;
  /** What pools are compared by. */
  share: ScoreParts;
  /** Of `share`. */
  chain: Chain;
  /** What the renter asked to compare by; `share` is another while a cheaper placement is looked for. */
  preference: ScoreParts;
  packs: boolean;
  area: Area;
  caps: Caps | null;
}

/** What one worker costs, rounded up to a whole micro-USD an hour. */
export const workerPrice = (query: GroupQuery, gpuPrice: number, cpuPrice: number): number =>
  Math.ceil(((query.units > 0 ? query.units * gpuPrice : 0) + query.cpuUnits * cpuPrice) / unitsPerDevice);

/** Only what the renter pays counts. */
export const priceAlone: ScoreParts = { price: 1, speed: 0, place: 0, reputation: 0, stake: 0, load: 0, fit: 0 };

/** The groups' queries in the request's order; null when no node that ever came has what is asked. */
export function compile(
  request: PlacementRequest,
  inventory: Inventory,
  latenciesFrom: (point: { latitudeDeg: number; longitudeDeg: number }) => Latencies,
): GroupQuery[] | null {
  const features = inventory.features.wanted({ ...request, network: request.network });
  if (features === null) return null;
  const owner = inventory.owners.find(request.tenantId);
  const audiences = owner === -1 ? [0] : [0, 1 + owner];
  const share = shares(request.weights);
  const area = areaOf(request.where, share.place > 0, inventory.geography, latenciesFrom);
  const chain = chainOf(share);
  const caps = request.spread === null ? null : capsOf(request.spread, inventory);
  return request.groups.map((group, position) => {
    const units = Math.round(group.devices * unitsPerDevice);
    const link = group.devices > 0 ? group.accelerator?.interconnect : undefined;
    return {
      group,
      position,
      audiences,
      models: inventory.models.matching(group.accelerator, group.devices),
      traits: features.traits | (link === undefined ? 0 : interconnectTrait(link)),
      rays: features.rays,
      names: features.names,
      whole: group.devices >= 1 ? group.devices : 0,
      isShare: group.devices > 0 && group.devices < 1,
      units,
      cpuUnits: cpuUnitsOf(group.cpus),
      memory: group.memoryBytes,
      ceiling: request.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY,
      priceReference:
        units > 0
          ? (priceReferenceMicroUsdPerDeviceHour * units) / unitsPerDevice
          : priceReferenceMicroUsdPerCpuHour * group.cpus,
      priceSlack: units > 0 ? 0 : slackOf(group.cpus),
      share,
      chain,
      preference: share,
      packs: request.pack === 'pack',
      area,
      caps,
    };
  });
}

export function chainOf(share: ScoreParts): Chain {
  const [first, second, third, fourth] = [
    { set: 1, weight: share.price },
    { set: 2, weight: share.reputation },
    { set: 4, weight: share.stake },
    { set: 8, weight: share.load },
  ].sort((a, b) => b.weight - a.weight) as [Link, Link, Link, Link];
  return {
    set1: first.set,
    weight1: first.weight - second.weight,
    set2: first.set | second.set,
    weight2: second.weight - third.weight,
    set3: first.set | second.set | third.set,
    weight3: third.weight - fourth.weight,
    weight4: fourth.weight,
  };
}
type Link = { set: number; weight: number };

const slackOf = (cpus: number): number => {
  const units = cpuUnitsOf(cpus);
  return units === 0 ? 1 : Math.max(0, (cpus * unitsPerDevice) / units - 1);
};

function capsOf(spread: NonNullable<PlacementRequest['spread']>, inventory: Inventory): Caps {
  const classOf = { supplier: inventory.supplier, domain: inventory.domain, country: inventory.country, node: null }[
    spread.by
  ];
  return { classOf, most: spread.maxWorkersEach, counts: new Map() };
}

const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1;

/** Throws a RangeError for amounts that no placement can have. */
export function check(request: PlacementRequest): void {
  const names = request.groups.map(group => group.name);
  const wrong =
    (request.groups.length === 0 && 'there is no worker group') ||
    (new Set(names).size !== names.length && 'two worker groups have one name') ||
    (request.groups.some(group => !isCount(group.workers)) && 'a group must have one worker or more') ||
    (request.groups.some(({ devices }) => !(devices >= 0 && (devices < 1 || Number.isSafeInteger(devices)))) &&
      'devices must be a whole number or a fraction below 1') ||
    (request.groups.some(({ devices }) => devices > 0 && devices < 1 / unitsPerDevice) &&
      `a share of a device must be 1/${unitsPerDevice} or more`) ||
    (request.groups.some(({ cpus, memoryBytes }) => !(cpus >= 0 && memoryBytes >= 0)) &&
      'CPUs and memory must be 0 or more') ||
    (request.spread !== null && !isCount(request.spread.maxWorkersEach) && 'maxWorkersEach must be 1 or more') ||
    (request.cells !== null && !isCount(request.cells.workersEach) && 'workersEach must be 1 or more');
  if (wrong) throw new RangeError(`Placement request: ${wrong}`);
}
