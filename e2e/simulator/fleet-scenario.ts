/** From a seed to work with requirements, gangs and groups of unlike workers, on a small fleet of unlike machines. */
import type { FleetNode, PlacementRequest, WorkerGroup } from '@iocloud/control-plane/core/matching';
import { GiB, type Mix, nodeMaker, smallMix, usualPrice } from './fleets.js';
import { Random } from './random.js';
import { arrivals, faultsOf, jobOf, type Mix as Makeup, type Scenario, type Size, tenantsOf } from './scenario.js';

export interface FleetScenario extends Scenario<PlacementRequest> {
  nodes: FleetNode[];
}

const meanGpus = 2.6;

const nothingParticular: Partial<PlacementRequest> = {
  where: {},
  compliance: [],
  minConnectivity: null,
  maxMicroUsdPerHour: null,
  colocate: 'any',
  spread: null,
  cells: null,
};

export function fleetScenario(seed: number, size: Size, makeup: Makeup): FleetScenario {
  const random = new Random(seed);
  const tenants = tenantsOf(random, size.gpus, makeup);
  const owners = tenants.map(({ tenantId }) => tenantId);
  const usual = smallMix(random, owners);
  const mix = { ...usual, devices: makeup.devices ?? usual.devices };
  const nodeOf = nodeMaker(mix);
  const nodes: FleetNode[] = [];
  let gpus = 0;
  while (gpus < size.gpus) {
    const node = nodeOf(random, nodes.length);
    nodes.push(node);
    gpus += node.pools[0]?.count ?? 0;
  }
  const machines = nodes.map(({ nodeId, pools }) => ({ machineId: nodeId, gpus: pools[0]?.count ?? 0 }));
  const jobs = arrivals(random, size, makeup, meanGpus).map((atMs, number) => {
    const isPlain = makeup.plain > 0 && random.chance(makeup.plain);
    const wanted = groupsOf(random, mix, 2 * makeup.gangs);
    const groups = isPlain ? wanted.map(group => ({ ...group, accelerator: null })) : wanted;
    const particular = requestOf(random, mix, groups);
    const request = isPlain ? { ...particular, ...nothingParticular } : particular;
    const job = jobOf(random, number, atMs, tenants, makeup, { request, ...askedFor(mix, groups), shape: '' });
    const own = { ...request, tenantId: job.workload.tenantId as PlacementRequest['tenantId'] };
    return { ...job, workload: { ...job.workload, request: own, shape: JSON.stringify(own) } };
  });
  const models = mix.models.map(({ slug }) => slug);
  const faults = faultsOf(random, size, makeup, nodes.length, models);
  return { seed, size, machines, gpus, nodes, tenants, jobs, faults };
}

function groupsOf(random: Random, mix: Mix, gangs: number): WorkerGroup[] {
  const one = (name: string): WorkerGroup => {
    const devices = random.pick([0.25, 0.5, 1, 1, 1, 1, 2, 4]);
    const model = random.pick(mix.models);
    return {
      name,
      workers: random.chance(gangs) ? random.integer(2, 5) : 1,
      cpus: random.pick([1, 4, 8]),
      memoryBytes: random.pick([4, 16, 64]) * GiB,
      devices,
      accelerator: random.pick([
        null,
        null,
        { models: [model.slug] },
        { models: [model.slug, random.pick(mix.models).slug] },
        { vendors: [model.vendor], minMemoryBytes: random.pick([8, 24]) * GiB },
      ]),
    };
  };
  if (!random.chance(0.15)) return [one('workers')];
  return [{ ...one('head'), workers: 1, devices: 0, accelerator: null }, one('workers')];
}

function requestOf(random: Random, mix: Mix, groups: WorkerGroup[]): PlacementRequest {
  const workers = groups.reduce((sum, group) => sum + group.workers, 0);
  const { usualMicroUsdPerHour } = askedFor(mix, groups);
  return {
    tenantId: '' as PlacementRequest['tenantId'],
    groups,
    where: random.pick([
      {},
      {},
      {},
      { countries: [random.pick(mix.countries), random.pick(mix.countries)] },
      { excludeCountries: [random.pick(mix.countries)] },
    ]),
    compliance: random.chance(0.12) ? [random.pick(['soc2', 'gdpr'])] : [],
    minConnectivity: random.chance(0.15) ? 'medium' : null,
    network: undefined,
    rayVersion: '2.60.0',
    maxMicroUsdPerHour: random.chance(0.1) ? Math.round(usualMicroUsdPerHour * (0.8 + random.next())) : null,
    colocate: workers > 1 ? random.pick(['any', 'any', 'domain', 'node']) : 'any',
    spread: workers > 1 && random.chance(0.15) ? { by: random.pick(['supplier', 'node']), maxWorkersEach: 2 } : null,
    cells: workers > 2 && random.chance(0.2) ? { workersEach: 2 } : null,
    pack: random.chance(0.8) ? 'pack' : 'spread',
    weights: random.pick([
      { price: 1, speed: 1, place: 1, reputation: 1, stake: 1, load: 1 },
      { price: 5, speed: 1, place: 0, reputation: 1, stake: 0, load: 0 },
      { price: 1, speed: 5, place: 1, reputation: 1, stake: 0.5, load: 0.5 },
    ]),
  };
}

/** A part of a device counts for what it is. */
function askedFor(mix: Mix, groups: WorkerGroup[]): { gpus: number; usualMicroUsdPerHour: number } {
  const gpus = groups.reduce((sum, { workers, devices }) => sum + workers * devices, 0);
  const each = mix.models.reduce((sum, { fp16Tflops }) => sum + usualPrice(fp16Tflops), 0) / mix.models.length;
  const cpus = groups.reduce((sum, group) => sum + group.workers * group.cpus, 0);
  return { gpus, usualMicroUsdPerHour: Math.round(gpus * each + cpus * 1_500) };
}
