/**
 * Does a placement meet its request? Read from the request's words and the machines' facts, without the index and the rules
 * by which it was found, so that a fault in those shows.
 */
import {
  acceleratorOf,
  type FleetNode,
  type FleetPlacement,
  type PlacedWorker,
  type PlacementRequest,
  type WorkerGroup,
} from '@iocloud/control-plane/core/matching';

const tiers = ['low', 'medium', 'high', 'ultra'];
const links = ['none', 'pcie', 'nvlink'];

/** The first thing that it does not meet. Null: it meets all. */
export function unmet(
  request: PlacementRequest,
  placement: FleetPlacement,
  nodeOf: (nodeId: string) => FleetNode | undefined,
): string | null {
  for (const group of request.groups) {
    const ordinals = new Set(placement.workers.filter(one => one.group === group.name).map(one => one.ordinal));
    if (ordinals.size !== group.workers) return `group ${group.name} has ${ordinals.size} of ${group.workers} workers`;
  }
  const wanted = request.groups.reduce((sum, { workers }) => sum + workers, 0);
  if (placement.workers.length !== wanted) return `it has ${placement.workers.length} workers, not ${wanted}`;
  const groups = new Map(request.groups.map(group => [group.name, group]));
  for (const worker of placement.workers) {
    const node = nodeOf(worker.nodeId);
    const group = groups.get(worker.group);
    if (!node || !group) return `${worker.group} on ${worker.nodeId}: there is no such group or machine`;
    const fault = faultOf(worker, group, node, request);
    if (fault !== null) return `${worker.group}/${worker.ordinal} on ${worker.nodeId}: ${fault}`;
  }
  const price = placement.workers.reduce((sum, { microUsdPerHour }) => sum + microUsdPerHour, 0);
  if (price !== placement.microUsdPerHour) return `its workers cost ${price}, all of it ${placement.microUsdPerHour}`;
  const { maxMicroUsdPerHour } = request;
  if (maxMicroUsdPerHour !== null && price > maxMicroUsdPerHour)
    return `it costs ${price} micro-USD an hour, ${maxMicroUsdPerHour} at most were allowed`;
  return together(request, placement, nodeOf);
}

function faultOf(worker: PlacedWorker, group: WorkerGroup, node: FleetNode, request: PlacementRequest): string | null {
  const { where, compliance, minConnectivity, network, rayVersion, tenantId } = request;
  const { accelerator, devices } = group;
  const model = acceleratorOf(worker.model ?? '');
  const memoryBytes = model?.memoryBytes ?? node.pools.find(pool => pool.model === worker.model)?.memoryBytes ?? 0;
  const own = node.pools.find(pool => pool.model === worker.model);
  const isMet: [string, boolean][] = [
    ['it is not schedulable', node.schedulable],
    ["it is another tenant's own", node.shared || node.ownerId === tenantId],
    ['its country', where.countries === undefined || where.countries.includes(node.country)],
    ['its country is excluded', !(where.excludeCountries ?? []).includes(node.country)],
    ['its region', where.regions === undefined || where.regions.includes(node.region)],
    ['its certificates', compliance.every(each => node.compliance.includes(each))],
    ['its connectivity', tiers.indexOf(node.connectivity) >= tiers.indexOf(minConnectivity ?? 'low')],
    ['its network', network === undefined || node.network === network],
    ['its Ray', rayVersion === null || node.rayVersions.includes(rayVersion)],
    ['the number of devices', worker.deviceIndices.length === Math.ceil(devices)],
    ['a device twice', new Set(worker.deviceIndices).size === worker.deviceIndices.length],
    ['the share of the device', worker.share === (devices > 0 && devices < 1 ? devices : 1)],
    ['devices of another model', worker.deviceIndices.every(index => own?.indices.includes(index))],
    ['CPUs and memory', worker.cpus === group.cpus && worker.memoryBytes === group.memoryBytes],
  ];
  if (devices > 0 && accelerator !== null) {
    const { models, vendors, minMemoryBytes, interconnect } = accelerator;
    isMet.push(
      ['its model', models === undefined || models.includes(worker.model ?? '')],
      ['its maker', vendors === undefined || vendors.includes(model?.vendor ?? '')],
      ["its devices' memory", memoryBytes >= (minMemoryBytes ?? 0)],
      ['its interconnect', links.indexOf(node.interconnect) >= links.indexOf(interconnect ?? 'none')],
    );
  }
  return isMet.find(([, met]) => !met)?.[0] ?? null;
}

/** What concerns the workers' places together. */
function together(
  { colocate, spread, cells }: PlacementRequest,
  { workers }: FleetPlacement,
  nodeOf: (nodeId: string) => FleetNode | undefined,
): string | null {
  const places = (by: 'node' | 'domain' | 'supplier' | 'country', some: PlacedWorker[]) => {
    const counts = new Map<string, number>();
    for (const { nodeId } of some) {
      const node = nodeOf(nodeId);
      const place = by === 'node' ? nodeId : by === 'supplier' ? node?.supplierId : node?.[by];
      counts.set(place ?? '', (counts.get(place ?? '') ?? 0) + 1);
    }
    return counts;
  };
  if (cells === null && colocate !== 'any' && places(colocate, workers).size > 1) return `it is not on one ${colocate}`;
  if (spread !== null) {
    const most = Math.max(...places(spread.by, workers).values());
    if (most > spread.maxWorkersEach) return `one ${spread.by} has ${most} workers, ${spread.maxWorkersEach} at most`;
  }
  if (cells === null) return null;
  const perCell = new Map<number, PlacedWorker[]>();
  for (const worker of workers) perCell.set(worker.cell, [...(perCell.get(worker.cell) ?? []), worker]);
  for (const [cell, some] of perCell) {
    if (some.length > cells.workersEach) return `cell ${cell} has ${some.length} workers`;
    if (places(colocate === 'node' ? 'node' : 'domain', some).size > 1) return `cell ${cell} is not in one place`;
  }
  return null;
}
