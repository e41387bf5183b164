/** From machines and requirements, as contracts have them, to nodes and requests of the fleet. */
import type { AcceleratorModel, Device, NodeId, NodeTerms, Requirements, TenantId } from '@iocloud/contracts';
import { acceleratorOf, classify, resolve } from './accelerator-lookup.js';
import type { Explanation } from './explain.js';
import type { FleetDevicePool, FleetNode, FleetPlacement, PlacementRequest, WorkerGroup } from './fleet/types.js';
import { Fleet } from './fleet.js';
import { defaultMemoryFloorBytes, type Offer, type Use, type Want } from './place.js';
import { evenWeights } from './score.js';

export interface MachineFacts {
  nodeId: NodeId;
  ownerId: TenantId;
  /** Offered to other tenants than its owner too. */
  shared: boolean;
  /** It would be, but runs plain processes, which its owner has not allowed for others. */
  heldBack?: boolean;
  /** Online: Ray nodes may be placed on it. */
  schedulable: boolean;
  terms: NodeTerms;
  /** 0 to 1, see reputation.ts. */
  reputation: number;
  /** 0 to 1: what is staked on it of the least for its accelerators. */
  stake?: number;
  cpus: number;
  memoryBytes: number;
  devices: Device[];
  rayVersions: string[];
}

/** What it costs to hold so much of a machine, micro-USD per hour. */
export const priceOf = (
  { microUsdPerCpuHour, microUsdPerGpuHour }: Pick<NodeTerms, 'microUsdPerCpuHour' | 'microUsdPerGpuHour'>,
  { cpus, gpus }: { cpus: number; gpus: number },
): number => Math.ceil(cpus * microUsdPerCpuHour + gpus * microUsdPerGpuHour);

/** What firmware keeps, and makers round, of a device's memory. */
const memoryTolerance = 0.12;

/** The device's model in the table of accelerators; what is not in it goes by the driver's own name. */
export function modelOf({ model, memoryBytes, simulated }: Device): string {
  const known = classify(model, memoryBytes);
  if (known !== null || !simulated) return known ?? model;
  // A simulated device is called by whom it stands for, loosely: `H100`.
  const meant = resolve(model).slugs.find(slug => {
    const has = acceleratorOf(slug)?.memoryBytes ?? null;
    return has !== null && Math.abs(memoryBytes / has - 1) <= memoryTolerance;
  });
  return meant ?? model;
}

/** What the table says of the device's model; null: it is not in there. */
export function recognised(device: Device): AcceleratorModel | null {
  const model = acceleratorOf(modelOf(device));
  if (!model) return null;
  const { slug, name, vendor, rayType, memoryBytes, fp16Tflops, bandwidthGBps, year, source } = model;
  const interconnect = model.interconnect && {
    kind: model.interconnect.kind,
    gigabytesPerSecond: model.interconnect.GBps,
  };
  const generation = model.architecture;
  return {
    slug,
    name,
    vendor,
    rayType,
    memoryBytes,
    fp16Tflops,
    bandwidthGBps,
    interconnect,
    generation,
    year,
    source,
  };
}

export function fleetNodeOf(machine: MachineFacts): FleetNode {
  const { terms, devices } = machine;
  const pools = new Map<string, FleetDevicePool>();
  for (const device of devices) {
    const model = modelOf(device);
    const pool = pools.get(model) ?? {
      model,
      count: 0,
      indices: [],
      simulated: false,
      memoryBytes: device.memoryBytes,
    };
    pool.indices.push(device.index);
    pool.count += 1;
    pool.simulated ||= device.simulated;
    pools.set(model, pool);
  }
  const links = [...pools.keys()].map(model => acceleratorOf(model)?.interconnect?.kind);
  const isLinked = links.length > 0 && links.every(kind => kind === 'nvlink' || kind === 'infinity-fabric');
  return {
    nodeId: machine.nodeId,
    ownerId: machine.ownerId,
    shared: machine.shared,
    heldBack: machine.heldBack ?? false,
    supplierId: machine.ownerId,
    domain: terms.domain ?? machine.nodeId,
    country: terms.country ?? '',
    region: terms.region ?? '',
    latitudeDeg: terms.coordinates?.latitudeDeg ?? null,
    longitudeDeg: terms.coordinates?.longitudeDeg ?? null,
    cpus: machine.cpus,
    memoryBytes: machine.memoryBytes,
    pools: [...pools.values()],
    interconnect: devices.length === 0 ? 'none' : (terms.interconnect ?? (isLinked ? 'nvlink' : 'pcie')),
    network: terms.fabric ?? 'ethernet',
    connectivity: terms.connectivity ?? 'low',
    compliance: terms.compliance,
    rayVersions: machine.rayVersions,
    microUsdPerGpuHour: terms.microUsdPerGpuHour,
    microUsdPerCpuHour: terms.microUsdPerCpuHour,
    reputation: machine.reputation,
    stake: machine.stake ?? 0,
    load: 0,
    schedulable: machine.schedulable,
  };
}

/** Models that a user's names mean; a name that the table does not have stands for itself. Null: any. */
export function modelsOf(names: string[] | undefined): string[] | null {
  if (names === undefined) return null;
  return [
    ...new Set(
      names.flatMap(name => {
        const { slugs } = resolve(name);
        return slugs.length > 0 ? slugs : [name];
      }),
    ),
  ];
}

/** All wants on one machine, as a request of the fleet. */
export function requestOf(
  tenantId: TenantId,
  wants: Want[],
  rayVersion: string | null,
  requirements: Requirements,
): PlacementRequest {
  const anywhere = modelsOf(requirements.accelerators);
  const groups = new Map<string, WorkerGroup>();
  for (const want of wants) {
    const own = modelsOf(want.accelerator === undefined ? undefined : [want.accelerator]);
    const models = own && anywhere ? own.filter(model => anywhere.includes(model)) : (own ?? anywhere);
    const group = {
      cpus: want.cpus,
      memoryBytes: want.memoryBytes ?? defaultMemoryFloorBytes,
      devices: want.gpus,
      accelerator: {
        vendors: requirements.acceleratorVendors,
        models: models ?? undefined,
        minMemoryBytes: requirements.minDeviceMemoryBytes,
        interconnect: requirements.interconnect,
      },
    };
    const alike = JSON.stringify(group);
    const before = groups.get(alike);
    groups.set(alike, { ...group, name: before?.name ?? want.key, workers: (before?.workers ?? 0) + 1 });
  }
  const { preferences = {} } = requirements;
  return {
    tenantId,
    groups: [...groups.values()],
    where: {
      countries: requirements.countries,
      excludeCountries: requirements.excludeCountries,
      regions: requirements.regions,
      near: requirements.near,
      maxLatencyMs: requirements.maxLatencyMs,
    },
    compliance: requirements.compliance ?? [],
    minConnectivity: requirements.minConnectivity ?? null,
    network: requirements.fabric,
    rayVersion,
    maxMicroUsdPerHour: requirements.maxMicroUsdPerHour ?? null,
    colocate: 'node',
    spread: null,
    cells: null,
    pack: 'pack',
    weights: {
      ...evenWeights,
      ...Object.fromEntries(Object.entries(preferences).filter(([, weight]) => weight !== undefined)),
    },
  };
}

/** The machines as a fleet, with what is taken on them. */
export function fleetOf(offers: (Offer & MachineFacts)[]): Fleet {
  const fleet = new Fleet();
  for (const offer of offers) {
    const node = fleetNodeOf(offer);
    fleet.upsert(node);
    fleet.reserve(`in use on ${offer.nodeId}`, inUse(offer.used, node));
  }
  return fleet;
}

/** What is taken on the machine, as a placement there. */
export function inUse(used: Use, { nodeId, pools }: FleetNode): FleetPlacement {
  const share = { group: '', ordinal: 0, nodeId, share: 1, cell: 0, microUsdPerHour: 0 };
  const host = { ...share, model: null, deviceIndices: [], cpus: used.cpus, memoryBytes: used.memoryBytes };
  const devices = pools.map(pool => ({
    ...share,
    model: pool.model,
    deviceIndices: pool.indices.filter(index => used.devices.includes(index)),
    cpus: 0,
    memoryBytes: 0,
  }));
  const workers = [host, ...devices.filter(({ deviceIndices }) => deviceIndices.length > 0)];
  return { workers, microUsdPerHour: 0, score: 0 };
}

/** Does the machine, as it is leased to the tenant, meet the requirements? Its price is that of all of it. */
export function meets(machine: FleetNode, tenantId: TenantId, requirements: Requirements): boolean {
  const fleet = new Fleet();
  fleet.upsert(machine);
  const gpus = Math.max(0, ...machine.pools.map(pool => pool.count));
  const wants = [{ key: 'all', cpus: machine.cpus, gpus, memoryBytes: 0 }];
  return !('refused' in fleet.place({ ...requestOf(tenantId, wants, null, requirements), rayVersion: null }));
}

/** Why nothing will do, and what would: for whoever asked. */
export function refusalInWords({ summary, alternatives }: Explanation): string {
  const help = alternatives
    .slice(0, 3)
    .map(({ change, nodes }) => `${change} (${nodes} ${nodes === 1 ? 'machine' : 'machines'})`);
  return help.length === 0 ? summary : `${summary}; what would help: ${help.join(', ')}`;
}

/** The offer with only those accelerators that the requirements accept. */
export function restricted<T extends Offer>(offer: T, requirements: Requirements): T {
  const models = modelsOf(requirements.accelerators);
  const { acceleratorVendors, minDeviceMemoryBytes } = requirements;
  const accepts = (device: Device) =>
    (models === null || models.includes(modelOf(device))) &&
    (acceleratorVendors === undefined || acceleratorVendors.includes(device.vendor)) &&
    (minDeviceMemoryBytes === undefined || device.memoryBytes >= minDeviceMemoryBytes);
  return { ...offer, devices: offer.devices.filter(accepts) };
}
