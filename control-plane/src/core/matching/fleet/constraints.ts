/** The constraints of a request one by one, and which of them each node fails. */
import { interconnectTrait } from './features.js';
import { cpuPriceAt, gpuPriceAt } from './figures.js';
import type { Latencies } from './geography.js';
import { cpuUnitsOf, type Inventory, open } from './inventory.js';
import { modelMatches } from './models.js';
import { noModel } from './pools.js';
import { type PlacementRequest, unitsPerDevice, type WorkerGroup } from './types.js';

/** From the hardest, which nothing can change, to the softest, which time or money changes. */
export const parts = [
  'visible',
  'isolation',
  'accelerator',
  'interconnect',
  'size',
  'country',
  'latency',
  'compliance',
  'connectivity',
  'network',
  'ray-version',
  'online',
  'free',
  'price',
] as const;
export type Part = (typeof parts)[number];

/** So many nodes fail exactly these constraints: bit i for `parts[i]`. */
export interface Failure {
  mask: number;
  nodes: number;
}

/** What a group asks, as a verb that follows 'nodes'; null where it asks nothing. */
export function wording(request: PlacementRequest, group: WorkerGroup, part: Part): string | null {
  const { where } = request;
  const want = group.devices > 0 ? group.accelerator : null;
  switch (part) {
    case 'visible':
      return null;
    case 'isolation':
      return "keep others' work in containers, or have their owner's leave to run it as plain processes";
    case 'accelerator': {
      if (group.devices === 0) return null;
      if (want === null) return 'have accelerators';
      const memory =
        want.minMemoryBytes === undefined ? [] : [`${Math.round(want.minMemoryBytes / 2 ** 30)} GiB or more`];
      const words = [want.models?.join(' or '), want.vendors && `made by ${want.vendors.join(' or ')}`, ...memory];
      return `have ${words.filter(Boolean).join(', ') || 'accelerators'}`;
    }
    case 'interconnect':
      return want?.interconnect === undefined ? null : `link their accelerators by ${want.interconnect}`;
    case 'size': {
      const devices = group.devices > 0 ? `${group.devices} accelerators of a kind, ` : '';
      return `have ${devices}${group.cpus} CPUs and ${Math.round((group.memoryBytes / 2 ** 30) * 10) / 10} GiB in all`;
    }
    case 'country': {
      const rules = [
        where.countries && `in ${where.countries.join(' or ') || 'no country'}`,
        where.excludeCountries?.length && `not in ${where.excludeCountries.join(' or ')}`,
        where.regions && `in region ${where.regions.join(' or ')}`,
      ].filter(Boolean);
      return rules.length === 0 ? null : `are ${rules.join(', ')}`;
    }
    case 'latency':
      return where.near && where.maxLatencyMs !== undefined ? `are within ${where.maxLatencyMs} ms` : null;
    case 'compliance':
      return request.compliance.length === 0 ? null : `have ${request.compliance.join(' and ')}`;
    case 'connectivity':
      return request.minConnectivity === null ? null : `are connected at ${request.minConnectivity} or better`;
    case 'network':
      return request.network === undefined ? null : `are on ${request.network}`;
    case 'ray-version':
      return request.rayVersion === null ? null : `offer Ray ${request.rayVersion}`;
    case 'online':
      return 'take work';
    case 'free':
      return 'have as much free now';
    case 'price':
      return request.maxMicroUsdPerHour === null ? null : 'cost no more for one worker';
  }
}

/** All nodes of the fleet, counted by what they fail. */
export function failures(
  inventory: Inventory,
  request: PlacementRequest,
  group: WorkerGroup,
  latenciesFrom: (point: { latitudeDeg: number; longitudeDeg: number }) => Latencies,
): Failure[] {
  const { near, maxLatencyMs } = request.where;
  const latencies = near === undefined ? null : latenciesFrom(near);
  const owner = inventory.owners.find(request.tenantId);
  const single = {
    compliance: wanted(inventory, { compliance: request.compliance }),
    connectivity: wanted(inventory, { minConnectivity: request.minConnectivity }),
    network: wanted(inventory, { network: request.network }),
    'ray-version': wanted(inventory, { rayVersion: request.rayVersion }),
  };
  const link = group.devices > 0 ? group.accelerator?.interconnect : undefined;
  const linkTrait = link === undefined ? 0 : interconnectTrait(link);
  const ceiling = request.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY;
  const units = Math.round(group.devices * unitsPerDevice);
  const cpuUnits = cpuUnitsOf(group.cpus);
  const places = inventory.geography.placeCountry.map((_, place) => allows(inventory, request, place));
  const fits = (slot: number, feature: ReturnType<typeof wanted>) =>
    feature !== null &&
    (inventory.figures.traits(slot) & feature.traits) === feature.traits &&
    (inventory.figures.rays(slot) & feature.rays) === feature.rays &&
    (feature.names.length === 0 || inventory.has(slot, feature.names));
  const isOffered = (slot: number) => inventory.audience[slot] === 0 || inventory.audience[slot] === 1 + owner;
  const meets: Record<Part, (slot: number) => boolean> = {
    visible: slot => isOffered(slot) || inventory.heldBack[slot] === 1,
    isolation: isOffered,
    accelerator: slot => somePool(inventory, group, slot, () => true),
    interconnect: slot => (inventory.figures.traits(slot) & linkTrait) === linkTrait,
    size: slot =>
      (inventory.cpuUnits[slot] as number) >= cpuUnits &&
      (inventory.memory[slot] as number) >= group.memoryBytes &&
      somePool(
        inventory,
        { ...group, accelerator: null },
        slot,
        pool => inventory.pools.devices(pool) >= group.devices,
      ),
    country: slot => places[inventory.place[slot] as number] === true,
    latency: slot =>
      latencies === null || latencies.of(inventory.site[slot] as number) <= (maxLatencyMs ?? Number.POSITIVE_INFINITY),
    compliance: slot => fits(slot, single.compliance),
    connectivity: slot => fits(slot, single.connectivity),
    network: slot => fits(slot, single.network),
    'ray-version': slot => fits(slot, single['ray-version']),
    online: slot => inventory.state[slot] === open,
    free: slot =>
      inventory.freeCpuUnits(slot) >= cpuUnits &&
      inventory.freeMemory(slot) >= group.memoryBytes &&
      // Of what the accelerator allows, or of anything where the node has nothing of that.
      (somePool(inventory, group, slot, pool => hasFree(inventory, group, pool)) ||
        (!somePool(inventory, group, slot, () => true) &&
          somePool(inventory, { ...group, accelerator: null }, slot, pool => hasFree(inventory, group, pool)))),
    price: slot =>
      Math.ceil(
        (units * inventory.figures.get(slot, gpuPriceAt) + cpuUnits * inventory.figures.get(slot, cpuPriceAt)) /
          unitsPerDevice,
      ) <= ceiling,
  };
  const nodes = new Map<number, number>();
  for (let slot = 0; slot < inventory.end; slot++) {
    if (!inventory.isPresent(slot)) continue;
    let mask = 0;
    for (const [bit, part] of parts.entries()) if (!meets[part](slot)) mask |= 1 << bit;
    nodes.set(mask, (nodes.get(mask) ?? 0) + 1);
  }
  return [...nodes].map(([mask, count]) => ({ mask, nodes: count }));
}

const wanted = (inventory: Inventory, some: Partial<Parameters<Inventory['features']['wanted']>[0]>) =>
  inventory.features.wanted({
    compliance: [],
    minConnectivity: null,
    network: undefined,
    rayVersion: null,
    ...some,
  });

function allows(inventory: Inventory, { where }: PlacementRequest, place: number): boolean {
  const { countries, placeCountry, placeRegion } = inventory.geography;
  const country = countries.texts[placeCountry[place] as number] as string;
  return (
    (where.countries === undefined || where.countries.includes(country)) &&
    !where.excludeCountries?.includes(country) &&
    (where.regions === undefined || where.regions.includes(placeRegion[place] as string))
  );
}

/** Does the node have a pool that the group may use and for which this holds? */
function somePool(inventory: Inventory, group: WorkerGroup, slot: number, holds: (pool: number) => boolean): boolean {
  const { pools, models } = inventory;
  if (group.devices === 0) return true;
  for (let pool = inventory.firstPool[slot] as number; pool !== -1; pool = pools.next(pool)) {
    const model = pools.model(pool);
    const known = models.list[model];
    if (model !== noModel && known && modelMatches(known, group.accelerator) && holds(pool)) return true;
  }
  return false;
}

function hasFree({ pools }: Inventory, group: WorkerGroup, pool: number): boolean {
  const whole = pools.whole(pool);
  if (group.devices >= 1) return whole >= group.devices;
  return whole >= 1 || pools.partial(pool) >= Math.round(group.devices * unitsPerDevice);
}
