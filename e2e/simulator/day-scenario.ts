/** A day of a whole fleet: about as much work as it can carry, faults as often as real machines have them. */
import type { FleetNode, PlacementRequest } from '@iocloud/control-plane/core/matching';
import {
  defaultQueueTerms,
  type PriorityClass,
  type QueueTerms,
  type TenantTerms,
} from '@iocloud/control-plane/core/queueing';
import { GiB, type Mix, nodeMaker, usualPrice, worldMix, Zipf } from './fleets.js';
import { Random } from './random.js';
import { type FaultRates, faultsOf, hourMs, minuteMs, type Scenario, type SimulatedJob } from './scenario.js';

export interface DaySize {
  hours: number;
  nodes: number;
  tenants: number;
  /** Work offered, of all accelerators' time. */
  load: number;
}

export interface DayScenario extends Scenario<PlacementRequest> {
  nodes: FleetNode[];
}

/** Hours between faults of one machine (of 125,000 one dies every 29 seconds), and of the system. */
export const dayFaults: FaultRates = {
  machineHours: 1_000,
  partitionHours: 2_000,
  drainHours: 1_500,
  headHours: 3_000,
  controlPlaneHours: 8,
  probesHours: 4,
  priceHours: 1,
};

const dayMix = {
  faults: () => dayFaults,
  outageMs: { machine: 20 * minuteMs, partition: 2 * minuteMs, drain: 30 * minuteMs },
  doubts: null,
};

export const dayTerms: QueueTerms = {
  ...defaultQueueTerms,
  priceLookMs: 1_800_000,
  retryMs: 120_000,
  maxReservations: 1,
};

/** Workers and devices of each, with how often in a hundred. */
const sizes: { percent: number; devices: number; workers(random: Random): number }[] = [
  { percent: 3, devices: 0.5, workers: () => 1 },
  { percent: 51.5, devices: 1, workers: () => 1 },
  { percent: 12, devices: 2, workers: () => 1 },
  { percent: 10, devices: 4, workers: () => 1 },
  { percent: 15, devices: 8, workers: () => 1 },
  { percent: 8, devices: 8, workers: random => random.pick([2, 4, 8, 16]) },
  { percent: 0.5, devices: 8, workers: random => random.pick([32, 64, 128]) },
];
const meanGpus = sizes.reduce((sum, { percent, devices }, at) => {
  const workers = at < 5 ? 1 : at === 5 ? 7.5 : 224 / 3;
  return sum + (percent / 100) * devices * workers;
}, 0);
/** Nobody who needs so many machines asks for a model of which there are few. */
const bigGang = 16;
const commonModels = 10;
const meanWorkMs = 4 * hourMs;
/** What renters say of how long it takes: round figures. */
const guessesMs = [15, 30, 60, 120, 240, 480, 720, 1_440].map(minutes => minutes * minuteMs);

export function dayScenario(seed: number, size: DaySize): DayScenario {
  const random = new Random(seed);
  const mix = worldMix(['']);
  const nodeOf = nodeMaker(mix);
  // Nobody keeps machines for himself: which request a machine may carry does not depend on whose it is.
  const nodes = Array.from({ length: size.nodes }, (_, number) => ({ ...nodeOf(random, number), shared: true }));
  const machines = nodes.map(({ nodeId, pools }) => ({ machineId: nodeId, gpus: pools[0]?.count ?? 0 }));
  const gpus = machines.reduce((sum, machine) => sum + machine.gpus, 0);
  const tenants = tenantsOf(random, size.tenants, gpus);
  const models = mix.models.map(({ slug }) => slug);
  const faults = faultsOf(random, { hours: size.hours, gpus }, dayMix, size.nodes, models);
  const jobs = jobsOf(new Random(seed + 1), mix, size, gpus, tenants);
  return { seed, size: { hours: size.hours, gpus }, machines, gpus, nodes, tenants, jobs, faults };
}

function tenantsOf(random: Random, count: number, gpus: number): TenantTerms[] {
  const weights = Array.from({ length: count }, () => random.pick([1, 1, 1, 2, 2, 4, 8]));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight, index) => {
    const limited = random.chance(0.5);
    const quota = Math.max(1_024, Math.round(((gpus * weight) / sum) * (0.8 + random.next())));
    return {
      tenantId: `tenant-${index}`,
      weight,
      quota: limited ? { gpus: quota } : null,
      cohort: limited && random.chance(0.8) ? `cohort-${index % Math.max(1, Math.round(count / 20))}` : null,
      borrowingLimit: {},
    };
  });
}

/** Made as they come: a day of them would fill the memory. At the beginning as many as run at any time. */
function* jobsOf(
  random: Random,
  mix: Mix,
  { hours, load }: DaySize,
  gpus: number,
  tenants: TenantTerms[],
): Generator<SimulatedJob<PlacementRequest>> {
  const byWeight = tenants.flatMap(({ tenantId, weight }) => new Array<string>(weight).fill(tenantId));
  const requests = new Requests(mix);
  const everyMs = (meanGpus * meanWorkMs) / (gpus * load);
  const atFirst = Math.round(meanWorkMs / everyMs);
  let number = 0;
  for (; number < atFirst; number += 1) yield jobOf(random, number, 0, random.pick(byWeight), requests);
  for (let atMs = random.exponential(everyMs); atMs < hours * hourMs; atMs += random.exponential(everyMs)) {
    yield jobOf(random, number, Math.max(1, Math.round(atMs)), random.pick(byWeight), requests);
    number += 1;
  }
}

function jobOf(
  random: Random,
  number: number,
  submittedAtMs: number,
  tenantId: string,
  requests: Requests,
): SimulatedJob<PlacementRequest> {
  const { request, shape, gpus, usualMicroUsdPerHour } = requests.draw(random);
  const workMs = Math.round(Math.max(2 * minuteMs, Math.min(24 * hourMs, random.exponential(meanWorkMs))));
  const guessMs = guessesMs.find(each => each >= workMs * (1 + random.next() / 2)) ?? 24 * hourMs;
  const expectedDurationMs = random.chance(0.1) ? null : guessMs;
  const cheap = random.chance(0.03);
  const drawn = random.next();
  const priorityClass: PriorityClass = drawn < 0.3 ? 'low' : drawn < 0.8 ? 'normal' : drawn < 0.97 ? 'high' : 'urgent';
  return {
    workload: {
      id: `job-${number}`,
      tenantId,
      priorityClass,
      submittedAtMs,
      request,
      shape,
      demand: { gpus },
      preemptible: random.chance(0.5),
      expectedDurationMs,
      deadlineMs: cheap ? submittedAtMs + workMs + random.integer(2, 12) * hourMs : null,
      cheapWindow: cheap ? { maxMicroUsdPerHour: Math.round(usualMicroUsdPerHour * 0.9) } : null,
      budgetMicroUsd: random.chance(0.03) ? Math.round(((usualMicroUsdPerHour * guessMs) / hourMs) * 2) : null,
    },
    workMs,
    checkpointEveryMs: random.pick([5, 15, 60]) * minuteMs,
    failsAfterMs: random.chance(0.03) ? Math.round(workMs * random.next()) : null,
  };
}

interface Asked {
  request: PlacementRequest;
  shape: string;
  gpus: number;
  usualMicroUsdPerHour: number;
}

/** Seven in ten name a model, a quarter of the single workers a country or certificates. Equal requests are one object. */
class Requests {
  readonly #known = new Map<string, Asked>();
  readonly #anyModel: Zipf;
  readonly #commonModel: Zipf;
  readonly #anyCountry: Zipf;

  constructor(readonly mix: Mix) {
    this.#anyModel = new Zipf(mix.models.length);
    this.#commonModel = new Zipf(Math.min(commonModels, mix.models.length));
    this.#anyCountry = new Zipf(mix.countries.length);
  }

  draw(random: Random): Asked {
    let left = random.next() * 100;
    const size = sizes.find(({ percent }) => {
      left -= percent;
      return left < 0;
    });
    const workers = size?.workers(random) ?? 1;
    const devices = size?.devices ?? 1;
    const anyModel = workers < bigGang ? this.#anyModel : this.#commonModel;
    const model = random.chance(0.7) ? this.mix.models[anyModel.draw(random)] : undefined;
    const drawn = random.next();
    const country = workers === 1 && drawn < 0.15 ? this.mix.countries[this.#anyCountry.draw(random)] : undefined;
    const compliance = workers === 1 && drawn > 0.9 ? [random.pick(['soc2', 'gdpr'])] : [];
    const shape = [workers, devices, model?.slug, country, ...compliance].join(' ');
    const known = this.#known.get(shape);
    if (known) return known;
    const gpus = workers * devices;
    const each = usualPrice(model?.fp16Tflops ?? null) + 8_000;
    const asked = {
      request: this.#request(workers, devices, model?.slug, country, compliance),
      shape,
      gpus,
      usualMicroUsdPerHour: gpus * each,
    };
    this.#known.set(shape, asked);
    return asked;
  }

  #request(
    workers: number,
    devices: number,
    model: string | undefined,
    country: string | undefined,
    compliance: string[],
  ): PlacementRequest {
    return {
      tenantId: 'renter' as PlacementRequest['tenantId'],
      groups: [
        {
          name: 'workers',
          workers,
          cpus: Math.ceil(4 * devices),
          memoryBytes: Math.ceil(16 * devices) * GiB,
          devices,
          accelerator: model === undefined ? null : { models: [model] },
        },
      ],
      where: country === undefined ? {} : { countries: [country] },
      compliance,
      minConnectivity: null,
      rayVersion: '2.60.0',
      maxMicroUsdPerHour: null,
      colocate: 'any',
      spread: null,
      cells: null,
      pack: 'pack',
      weights: { price: 2, speed: 1, place: 1, reputation: 1, stake: 1, load: 1 },
    };
  }
}
