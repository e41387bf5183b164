/** A fleet and requests of the sizes and kinds to plan for, the same ones from the same seed. */
import {
  accelerators,
  type FleetNode,
  type PlacementRequest,
  type Weights,
} from '@iocloud/control-plane/core/matching';

export const GiB = 2 ** 30;
export const countryCount = 138;
export const modelCount = 40;

/** Random numbers from 0 to 1 by a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const models = accelerators.slice(0, modelCount);
const letters = 'ABCDEFGHIJKL';
const countries = Array.from({ length: countryCount }, (_, at) => `${letters[Math.floor(at / 12)]}${letters[at % 12]}`);

/** The first ones often, the last ones rarely, as countries and models are (Zipf's law). */
function zipf(count: number): (random: number) => number {
  const weights = Array.from({ length: count }, (_, at) => 1 / (at + 1));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  let reached = 0;
  const ends = weights.map(weight => {
    reached += weight / sum;
    return reached;
  });
  return random =>
    Math.max(
      0,
      ends.findIndex(end => random < end),
    );
}
const anyCountry = zipf(countryCount);
const anyModel = zipf(modelCount);

export const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
/** A model's usual price: 0.8 USD an hour for an A100's throughput, in proportion. */
const usualPrice = (tflops: number | null) => 200_000 + ((tflops ?? 60) / 312) * 600_000;

/** Eight devices on most nodes: on average 8, so that 125,000 nodes have 1,000,000 devices. */
function devicesOf(number: number, random: () => number): number {
  return number % 2 === 0 ? 8 : pick(random, [4, 8, 12]);
}

export function node(number: number, random: () => number): FleetNode {
  const model = models[anyModel(random())] as (typeof models)[number];
  const at = anyCountry(random());
  const site = Math.floor(random() * (1 + 400 / (at + 1)));
  const count = devicesOf(number, random);
  const compliance = ['soc2', 'hipaa', 'gdpr', 'iso27001', 'e2e-encrypted'].filter(() => random() < 0.3);
  return {
    nodeId: `nd_${String(number).padStart(7, '0')}` as FleetNode['nodeId'],
    ownerId: `tn_${number % 977}` as FleetNode['ownerId'],
    shared: random() < 0.98,
    supplierId: `su_${Math.floor(random() * 5_000)}`,
    domain: `${countries[at]}-${site}`,
    country: countries[at] as string,
    region: `r${at % 12}`,
    latitudeDeg: Math.round((((at * 37) % 120) - 60 + site * 0.01) * 100) / 100,
    longitudeDeg: Math.round((((at * 71) % 340) - 170 + site * 0.01) * 100) / 100,
    cpus: count * 16,
    memoryBytes: count * 128 * GiB,
    pools: [{ model: model.slug, count, indices: Array.from({ length: count }, (_, index) => index), simulated: true }],
    interconnect: model.interconnect?.kind === 'nvlink' ? 'nvlink' : 'pcie',
    network: pick(random, ['ethernet', 'ethernet', 'roce', 'infiniband'] as const),
    connectivity: pick(random, ['low', 'medium', 'high', 'ultra'] as const),
    compliance,
    rayVersions: ['2.60.0', ...(random() < 0.3 ? ['2.51.2'] : [])],
    microUsdPerGpuHour: Math.round(usualPrice(model.fp16Tflops) * (0.7 + 0.6 * random())),
    microUsdPerCpuHour: pick(random, [0, 0, 2_000, 4_000]),
    reputation: Math.round((0.5 + 0.5 * random()) * 1_000) / 1_000,
    stake: Math.round(random() * 1_000) / 1_000,
    load: Math.round(random() * 1_000) / 1_000,
    schedulable: random() < 0.98,
  };
}

const preferences: Weights[] = [
  { price: 1, speed: 1, place: 1, reputation: 1, stake: 1, load: 1 },
  { price: 5, speed: 1, place: 0, reputation: 1, stake: 0, load: 0 },
  { price: 1, speed: 5, place: 1, reputation: 1, stake: 0.5, load: 0.5 },
];

export const request = (more: Partial<PlacementRequest> & Pick<PlacementRequest, 'groups'>): PlacementRequest => ({
  tenantId: 'tn_renter' as PlacementRequest['tenantId'],
  where: {},
  compliance: [],
  minConnectivity: null,
  rayVersion: '2.60.0',
  maxMicroUsdPerHour: null,
  colocate: 'any',
  spread: null,
  cells: null,
  pack: 'pack',
  weights: preferences[0] as Weights,
  ...more,
});

/** One worker: seven in ten name a model or a family, three in ten a place, a quarter certificates, a few a ceiling. */
export function oneWorker(random: () => number): PlacementRequest {
  const named = random();
  const model = models[anyModel(random())] as (typeof models)[number];
  const family = models.filter(other => other.rayType !== null && other.rayType === model.rayType);
  const accelerator =
    named < 0.45
      ? { models: [model.slug] }
      : named < 0.7
        ? { models: (family.length > 0 ? family : [model]).map(one => one.slug) }
        : named < 0.85
          ? { vendors: ['nvidia'], minMemoryBytes: pick(random, [16, 24, 40, 80]) * GiB }
          : null;
  const devices = pick(random, [0.25, 0.5, 1, 1, 1, 2, 4, 8]);
  const somewhere = random();
  const where =
    somewhere < 0.15
      ? {
          countries: Array.from(
            { length: 1 + Math.floor(random() * 10) },
            () => countries[anyCountry(random())] as string,
          ),
        }
      : somewhere < 0.2
        ? { excludeCountries: [countries[0] as string] }
        : somewhere < 0.3
          ? { near: { latitudeDeg: random() * 100 - 50, longitudeDeg: random() * 340 - 170 } }
          : {};
  return request({
    groups: [{ name: 'workers', workers: 1, cpus: 4, memoryBytes: 16 * GiB, devices, accelerator }],
    where,
    compliance: random() < 0.25 ? [pick(random, ['soc2', 'hipaa', 'gdpr'])] : [],
    minConnectivity: random() < 0.2 ? 'high' : null,
    maxMicroUsdPerHour: random() < 0.1 ? Math.ceil(devices * 900_000) : null,
    pack: random() < 0.8 ? 'pack' : 'spread',
    weights: pick(random, preferences),
  });
}
