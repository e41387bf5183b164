/** The fleet as one would write it with no thought of speed: every question goes through every node. For tests to compare with. */
import { acceleratorOf } from '../../accelerator-lookup.js';
import {
  combine,
  distanceKm,
  estimatedLatencyMs,
  placePart,
  pricePart,
  priceReferenceMicroUsdPerCpuHour,
  priceReferenceMicroUsdPerDeviceHour,
  shares,
  speedPart,
} from '../../score.js';
import type { FleetNode, FleetPlacement, PlacedWorker, PlacementRequest, WorkerGroup } from '../types.js';

/** A worker on devices of one model of a node: what `place` chooses. */
export interface NaiveChoice {
  node: FleetNode;
  model: string | null;
  indices: number[];
  score: number;
  price: number;
}

type Holding = Pick<PlacedWorker, 'nodeId' | 'deviceIndices' | 'share' | 'cpus' | 'memoryBytes'>;

const tiers = ['low', 'medium', 'high', 'ultra'];
const links = ['none', 'pcie', 'nvlink'];
/** Shares and CPUs are counted in 1/10,000. */
const exact = (value: number) => Math.round(value * 10_000);

export class NaiveFleet {
  readonly nodes = new Map<string, FleetNode>();
  readonly holdings = new Map<string, Holding[]>();

  /** Of what each device has, CPUs have and memory has, how much is held, in 1/10,000 and bytes. */
  used(nodeId: string): { devices: Map<number, number>; cpus: number; memory: number } {
    const devices = new Map<number, number>();
    let cpus = 0;
    let memory = 0;
    for (const held of [...this.holdings.values()].flat()) {
      if (held.nodeId !== nodeId) continue;
      cpus += exact(held.cpus);
      memory += held.memoryBytes;
      for (const index of held.deviceIndices) devices.set(index, (devices.get(index) ?? 0) + exact(held.share));
    }
    return { devices, cpus, memory };
  }

  /** All that could carry one worker of the group, the best first. `placed`: workers that this placement has already. */
  choices(request: PlacementRequest, group: WorkerGroup, placed: PlacedWorker[] = []): NaiveChoice[] {
    return [...this.nodes.values()]
      .filter(node => meets(node, request, group) && !this.#isCapped(node, request, placed))
      .flatMap(node => this.#choicesOn(node, request, group))
      .sort(compare);
  }

  /** Greedy, in the order that `Fleet.place` states. Null when a worker has no room. Knows no cells, no ceiling but each worker's. */
  place(request: PlacementRequest): FleetPlacement | null {
    const placed: PlacedWorker[] = [];
    const scores = new Map<PlacedWorker, number>();
    this.holdings.set('naive', placed);
    try {
      for (const group of this.hardestFirst(request)) {
        for (let ordinal = 0; ordinal < group.workers; ordinal++) {
          const choice = this.choices(request, group, placed)[0];
          if (choice === undefined) return null;
          const one = worker(group, ordinal, choice);
          placed.push(one);
          scores.set(one, choice.score);
        }
      }
    } finally {
      this.holdings.delete('naive');
    }
    const order = (one: PlacedWorker) => request.groups.findIndex(group => group.name === one.group);
    const workers = [...placed].sort((a, b) => order(a) - order(b) || a.ordinal - b.ordinal);
    return {
      workers,
      microUsdPerHour: workers.reduce((total, one) => total + one.microUsdPerHour, 0),
      score: workers.reduce((total, one) => total + (scores.get(one) ?? 0), 0) / workers.length,
    };
  }

  /** Is there any placement at all? Tries every way: for very few workers. Knows no cells. */
  isPossible(request: PlacementRequest): boolean {
    const workers = request.groups.flatMap(group =>
      Array.from({ length: group.workers }, (_, ordinal) => ({ group, ordinal })),
    );
    const placed: PlacedWorker[] = [];
    const nodeOf = (id: string) => this.nodes.get(id) as FleetNode;
    const together = (node: FleetNode) =>
      request.colocate === 'any' ||
      placed.every(one =>
        request.colocate === 'node' ? one.nodeId === node.nodeId : nodeOf(one.nodeId).domain === node.domain,
      );
    const search = (at: number): boolean => {
      const next = workers[at];
      const price = placed.reduce((total, one) => total + one.microUsdPerHour, 0);
      if (price > (request.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY)) return false;
      if (next === undefined) return true;
      return this.choices(request, next.group, placed)
        .filter(choice => together(choice.node))
        .flatMap(choice => this.#everyDevice(choice, next.group))
        .some(choice => {
          placed.push(worker(next.group, next.ordinal, choice));
          const found = search(at + 1);
          placed.pop();
          return found;
        });
    };
    this.holdings.set('naive', placed);
    try {
      return search(0);
    } finally {
      this.holdings.delete('naive');
    }
  }

  hardestFirst(request: PlacementRequest): WorkerGroup[] {
    const models = new Set([...this.nodes.values()].flatMap(node => node.pools.map(pool => pool.model)));
    const width = (group: WorkerGroup) =>
      group.devices === 0 ? 1 : [...models].filter(model => modelMeets(model, group)).length;
    return [...request.groups].sort(
      (a, b) => b.devices - a.devices || width(a) - width(b) || b.cpus - a.cpus || b.memoryBytes - a.memoryBytes,
    );
  }

  #everyDevice(choice: NaiveChoice, group: WorkerGroup): NaiveChoice[] {
    if (group.devices === 0 || group.devices >= 1) return [choice];
    const { devices } = this.used(choice.node.nodeId);
    const pool = choice.node.pools.find(one => one.model === choice.model);
    return (pool?.indices ?? [])
      .filter(index => 10_000 - (devices.get(index) ?? 0) >= exact(group.devices))
      .map(index => ({ ...choice, indices: [index] }));
  }

  #isCapped(node: FleetNode, { spread }: PlacementRequest, placed: PlacedWorker[]): boolean {
    if (spread === null) return false;
    const classOf = (one: FleetNode) =>
      ({ supplier: one.supplierId, domain: one.domain, country: one.country, node: one.nodeId })[spread.by];
    const same = placed.filter(one => classOf(this.nodes.get(one.nodeId) as FleetNode) === classOf(node));
    return same.length >= spread.maxWorkersEach;
  }

  #choicesOn(node: FleetNode, request: PlacementRequest, group: WorkerGroup): NaiveChoice[] {
    const used = this.used(node.nodeId);
    const freeCpus = exact(node.cpus) - used.cpus;
    if (exact(group.cpus) > freeCpus || group.memoryBytes > node.memoryBytes - used.memory) return [];
    const free = (index: number) => 10_000 - (used.devices.get(index) ?? 0);
    const price = Math.ceil(
      (exact(group.devices) * node.microUsdPerGpuHour + exact(group.cpus) * node.microUsdPerCpuHour) / 10_000,
    );
    if (price > (request.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY)) return [];
    const share = shares(request.weights);
    const score = (speed: number, reference: number, left: number | null) =>
      combine(
        share,
        pricePart(price, reference),
        speed,
        placeOf(node, request),
        node.reputation,
        node.stake,
        1 - node.load,
        left === null ? 0 : request.pack === 'pack' ? 1 - left : left,
      );
    if (group.devices === 0) {
      const hasFree = node.pools.some(pool => pool.indices.some(index => free(index) > 0));
      const left = exact(node.cpus) === 0 ? 0 : (freeCpus - exact(group.cpus)) / exact(node.cpus);
      const reference = priceReferenceMicroUsdPerCpuHour * group.cpus;
      return [{ node, model: null, indices: [], price, score: score(1, reference, hasFree ? null : left) }];
    }
    return node.pools
      .filter(pool => pool.count > 0 && modelMeets(pool.model, group))
      .flatMap(pool => {
        const units = pool.indices.reduce((total, index) => total + free(index), 0);
        const indices = choose(pool.indices, free, group.devices);
        const left = (units - exact(group.devices)) / (pool.count * 10_000);
        const speed = speedPart(acceleratorOf(pool.model)?.fp16Tflops ?? null);
        const reference = (priceReferenceMicroUsdPerDeviceHour * exact(group.devices)) / 10_000;
        return indices.length === 0
          ? []
          : [{ node, model: pool.model, indices, price, score: score(speed, reference, left) }];
      });
  }
}

const compare = (a: NaiveChoice, b: NaiveChoice) =>
  b.score - a.score ||
  (a.node.nodeId === b.node.nodeId ? 0 : a.node.nodeId < b.node.nodeId ? -1 : 1) ||
  ((a.model ?? '') < (b.model ?? '') ? -1 : 1);

const worker = (group: WorkerGroup, ordinal: number, choice: NaiveChoice): PlacedWorker => ({
  group: group.name,
  ordinal,
  nodeId: choice.node.nodeId,
  model: choice.model,
  deviceIndices: choice.indices,
  share: group.devices > 0 && group.devices < 1 ? group.devices : 1,
  cpus: group.cpus,
  memoryBytes: group.memoryBytes,
  cell: 0,
  microUsdPerHour: choice.price,
});

function choose(indices: number[], free: (index: number) => number, devices: number): number[] {
  if (devices >= 1) {
    const whole = indices.filter(index => free(index) === 10_000);
    return whole.length >= devices ? whole.slice(0, devices) : [];
  }
  const fitting = indices.filter(index => free(index) >= exact(devices));
  return fitting.length === 0 ? [] : [fitting.reduce((best, index) => (free(index) < free(best) ? index : best))];
}

function modelMeets(slug: string, group: WorkerGroup): boolean {
  const want = group.accelerator;
  const model = acceleratorOf(slug);
  return (
    (want?.models === undefined || want.models.includes(slug)) &&
    (want?.vendors === undefined || want.vendors.includes(model?.vendor ?? '')) &&
    (want?.minMemoryBytes === undefined || (model?.memoryBytes ?? 0) >= want.minMemoryBytes)
  );
}

const latencyOf = (node: FleetNode, near: { latitudeDeg: number; longitudeDeg: number }): number =>
  node.latitudeDeg === null || node.longitudeDeg === null
    ? Number.POSITIVE_INFINITY
    : estimatedLatencyMs(distanceKm(near.latitudeDeg, near.longitudeDeg, node.latitudeDeg, node.longitudeDeg));

function placeOf(node: FleetNode, { where }: PlacementRequest): number {
  if (where.near === undefined) return 1;
  const latencyMs = latencyOf(node, where.near);
  return latencyMs === Number.POSITIVE_INFINITY ? 0 : placePart(latencyMs);
}

/** All constraints that are the node's own, whatever is free of it. */
export function meets(node: FleetNode, request: PlacementRequest, group: WorkerGroup): boolean {
  const { where } = request;
  const link = group.devices > 0 ? group.accelerator?.interconnect : undefined;
  return (
    node.schedulable &&
    (node.shared || node.ownerId === request.tenantId) &&
    (where.countries === undefined || where.countries.includes(node.country)) &&
    !where.excludeCountries?.includes(node.country) &&
    (where.regions === undefined || where.regions.includes(node.region)) &&
    (where.near === undefined ||
      where.maxLatencyMs === undefined ||
      latencyOf(node, where.near) <= where.maxLatencyMs) &&
    request.compliance.every(name => node.compliance.includes(name)) &&
    (request.minConnectivity === null || tiers.indexOf(node.connectivity) >= tiers.indexOf(request.minConnectivity)) &&
    (request.network === undefined || node.network === request.network) &&
    (request.rayVersion === null || node.rayVersions.includes(request.rayVersion)) &&
    (link === undefined || links.indexOf(node.interconnect) >= links.indexOf(link))
  );
}
