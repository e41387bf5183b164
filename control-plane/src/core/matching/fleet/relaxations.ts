/** A request with one constraint given up, for every constraint that it has. */
import type { AcceleratorWant, PlacementRequest } from './types.js';

export interface Relaxation {
  change: string;
  constraint: string;
  request: PlacementRequest;
}

export function relaxations(request: PlacementRequest): Relaxation[] {
  const { where, spread, cells } = request;
  const list: Relaxation[] = [];
  const add = (applies: unknown, constraint: string, change: string, more: Partial<PlacementRequest>) => {
    if (applies) list.push({ change, constraint, request: { ...request, ...more } });
  };
  for (const [at, group] of request.groups.entries()) {
    const want = group.devices > 0 ? group.accelerator : null;
    const without = (field: keyof AcceleratorWant) => ({
      groups: request.groups.map((other, index) =>
        index === at ? { ...group, accelerator: { ...want, [field]: undefined } } : other,
      ),
    });
    add(want?.models, 'accelerator', `any model for group '${group.name}'`, without('models'));
    add(want?.vendors, 'accelerator', `any maker for group '${group.name}'`, without('vendors'));
    add(want?.minMemoryBytes, 'accelerator', `any device memory for group '${group.name}'`, without('minMemoryBytes'));
    add(want?.interconnect, 'interconnect', `any interconnect for group '${group.name}'`, without('interconnect'));
  }
  const anywhere = { ...where, countries: undefined, excludeCountries: undefined, regions: undefined };
  const isBound = where.countries ?? where.regions ?? where.excludeCountries?.length;
  add(isBound, 'country', 'any country and region', { where: anywhere });
  const isNear = where.near !== undefined && where.maxLatencyMs !== undefined;
  add(isNear, 'latency', 'any latency', { where: { ...where, maxLatencyMs: undefined } });
  for (const name of request.compliance) {
    add(true, 'compliance', `without ${name}`, { compliance: request.compliance.filter(other => other !== name) });
  }
  add(request.compliance.length > 1, 'compliance', 'without any certificate', { compliance: [] });
  add(request.minConnectivity, 'connectivity', 'any connectivity', { minConnectivity: null });
  add(request.network, 'network', 'any network', { network: undefined });
  add(request.rayVersion, 'ray-version', 'any Ray version', { rayVersion: null });
  add(request.maxMicroUsdPerHour !== null, 'price', 'any price', { maxMicroUsdPerHour: null });
  add(request.colocate === 'node', 'colocate', 'in one domain, not on one node', { colocate: 'domain' });
  add(request.colocate !== 'any', 'colocate', 'anywhere, not together', { colocate: 'any' });
  add(spread, 'spread', `any number for each ${spread?.by}`, { spread: null });
  add(cells, 'cells', 'without cells', { cells: null });
  return list;
}
