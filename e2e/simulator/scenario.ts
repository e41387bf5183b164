/** What happens to a simulated system from outside: tenants, work and faults, whatever the ground is. */
import {
  type Demand,
  type PriorityClass,
  priorityClasses,
  type Sighting,
  type TenantTerms,
  type Workload,
} from '@iocloud/control-plane/core/queueing';
import type { Random } from './random.js';

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;

export interface Size {
  /** In which work arrives. */
  hours: number;
  gpus: number;
}

export interface SimulatedMachine {
  machineId: string;
  gpus: number;
}

export interface SimulatedJob<Request> {
  workload: Workload<Request>;
  /** What it takes in truth, undisturbed. */
  workMs: number;
  checkpointEveryMs: number;
  /** It fails by its own error after so much work. Null: it does not. */
  failsAfterMs: number | null;
}

export type Fault =
  | { kind: 'machine' | 'partition' | 'drain'; atMs: number; lastsMs: number; machine: number }
  /** Of some work on the machine. */
  | { kind: 'head'; atMs: number; machine: number; pick: number }
  | { kind: 'control-plane'; atMs: number; lastsMs: number }
  /** Bad probes of work that is well: so many times `words` for each that runs; null: any of them. */
  | { kind: 'probes'; atMs: number; each: number; words: readonly Sighting[] | null }
  | { kind: 'price'; atMs: number; model: string; permille: number };

export interface Scenario<Request> {
  seed: number;
  size: Size;
  machines: SimulatedMachine[];
  /** All that can be rented. */
  gpus: number;
  tenants: TenantTerms[];
  /** In the order of their submission. */
  jobs: Iterable<SimulatedJob<Request>>;
  /** In the order of time. */
  faults: Fault[];
}

/** Means, in hours. */
export interface FaultRates {
  /** Between deaths of one machine, and so on. */
  machineHours: number;
  partitionHours: number;
  drainHours: number;
  headHours: number;
  /** Of the whole system. */
  controlPlaneHours: number;
  probesHours: number;
  priceHours: number;
}

/** What a world is made of: probabilities, and how often what fails. */
export interface Mix {
  /** Of all accelerators' time, as a range. */
  load: readonly [number, number];
  meanWorkMs: number;
  /** Of the machines in turn. Null: as the ground has them. */
  devices: readonly number[] | null;
  /** Of machines, where the ground has few. */
  kinds: number;
  /** The largest gang, as a part of all machines of a kind. */
  largestGang: number;
  tenants: number;
  /** Those with a quota, and those of them that lend and borrow. */
  limited: number;
  lending: number;
  cohorts: number;
  leastQuota: number;
  /** Of an equal share, as a range. */
  quota: readonly [number, number];
  /** Of the work, what comes from the one tenant whose turn it is. */
  bursts: number;
  preemptible: number;
  urgent: number;
  gangs: number;
  /** Requests without any requirement, where machines differ. */
  plain: number;
  cheap: number;
  budgeted: number;
  unknownDuration: number;
  /** By their own error. */
  failing: number;
  /** What has a deadline has it so long after its work would be done, at most. */
  longestSlackHours: number;
  checkpointMinutes: readonly number[];
  faults(machines: number): FaultRates;
  outageMs: { machine: number; partition: number; drain: number };
  /** What bad probes say, in this order. Null: anything. */
  doubts: readonly Sighting[] | null;
}

/** Something of everything. */
export function evenMix(gpus: number): Mix {
  const tenants = Math.max(3, Math.min(1_000, Math.round(Math.sqrt(gpus))));
  return {
    load: [0.7, 1.4],
    meanWorkMs: 0.7 * hourMs,
    devices: null,
    kinds: 3,
    largestGang: 0.5,
    tenants,
    limited: 0.5,
    lending: 0.8,
    cohorts: Math.max(1, Math.round(tenants / 8)),
    leastQuota: 8,
    quota: [0.5, 1.5],
    bursts: 0,
    preemptible: 0.5,
    urgent: 0.04,
    gangs: 0.1,
    plain: 0,
    cheap: 0.1,
    budgeted: 0.15,
    unknownDuration: 0.15,
    failing: 0.05,
    longestSlackHours: 12,
    checkpointMinutes: [5, 15, 60],
    faults: () => seedFaults(gpus),
    outageMs: { machine: 20 * minuteMs, partition: 2 * minuteMs, drain: 30 * minuteMs },
    doubts: null,
  };
}

/** Far worse than any real fleet: a seed is to have something of each. */
const seedFaults = (gpus: number): FaultRates => ({
  machineHours: 40,
  partitionHours: 25,
  drainHours: 40,
  headHours: 30,
  controlPlaneHours: 3,
  probesHours: Math.max(0.5, gpus / 3_600),
  priceHours: 1,
});

const burstMs = 10 * minuteMs;
const noDemand: Demand = {};

export function tenantsOf(random: Random, gpus: number, mix: Mix): TenantTerms[] {
  return Array.from({ length: mix.tenants }, (_, index) => {
    const limited = random.chance(mix.limited);
    const part = mix.quota[0] + random.next() * (mix.quota[1] - mix.quota[0]);
    const quota = Math.max(mix.leastQuota, Math.round((gpus / mix.tenants) * part));
    return {
      tenantId: `tenant-${index}`,
      weight: random.pick([1, 1, 2, 4]),
      quota: limited ? { gpus: quota } : null,
      cohort: limited && random.chance(mix.lending) ? `cohort-${index % mix.cohorts}` : null,
      borrowingLimit: random.chance(0.3) ? { gpus: quota } : noDemand,
    };
  });
}

function tenantOf(random: Random, tenants: TenantTerms[], { bursts }: Mix, atMs: number): string {
  const turn = bursts > 0 && random.chance(bursts) ? tenants[Math.floor(atMs / burstMs) % tenants.length] : undefined;
  return (turn ?? random.pick(tenants)).tenantId;
}

/** All of a job but what it asks the ground for. */
export function jobOf<Request>(
  random: Random,
  number: number,
  submittedAtMs: number,
  tenants: TenantTerms[],
  mix: Mix,
  asked: { request: Request; shape: string; gpus: number; usualMicroUsdPerHour: number },
): SimulatedJob<Request> {
  const { request, shape, gpus, usualMicroUsdPerHour } = asked;
  const workMs = Math.round(Math.max(minuteMs, Math.min(6 * hourMs, random.exponential(mix.meanWorkMs))));
  const expectedDurationMs = random.chance(mix.unknownDuration)
    ? null
    : Math.round(workMs * (1 + random.next()) + minuteMs);
  const cheap = random.chance(mix.cheap);
  const priorityClass: PriorityClass = random.chance(mix.urgent) ? 'urgent' : random.pick(priorityClasses.slice(0, 3));
  return {
    workload: {
      id: `job-${number}`,
      tenantId: tenantOf(random, tenants, mix, submittedAtMs),
      priorityClass,
      submittedAtMs,
      request,
      shape,
      demand: { gpus },
      preemptible: random.chance(mix.preemptible),
      expectedDurationMs,
      deadlineMs: cheap ? submittedAtMs + workMs + random.integer(1, mix.longestSlackHours) * hourMs : null,
      cheapWindow: cheap
        ? { maxMicroUsdPerHour: Math.round(usualMicroUsdPerHour * (0.7 + random.next() * 0.4)) }
        : null,
      budgetMicroUsd: random.chance(mix.budgeted)
        ? Math.round((usualMicroUsdPerHour * (expectedDurationMs ?? workMs) * (0.5 + 2 * random.next())) / hourMs)
        : null,
    },
    workMs,
    checkpointEveryMs: random.pick(mix.checkpointMinutes) * minuteMs,
    failsAfterMs: random.chance(mix.failing) ? Math.round(workMs * random.next()) : null,
  };
}

/** So many that about `load` of all accelerators would be busy, if there were no waste. */
export function arrivals(
  random: Random,
  { hours, gpus }: Size,
  { load: [least, most], meanWorkMs }: Mix,
  meanGpus: number,
): number[] {
  const load = least + random.next() * (most - least);
  const everyMs = (meanGpus * meanWorkMs) / (gpus * load);
  const times: number[] = [];
  for (let atMs = random.exponential(everyMs); atMs < hours * hourMs; atMs += random.exponential(everyMs)) {
    times.push(Math.round(atMs));
  }
  return times;
}

export function faultsOf(
  random: Random,
  { hours }: Size,
  { outageMs, doubts, ...mix }: Pick<Mix, 'faults' | 'outageMs' | 'doubts'>,
  machines: number,
  models: readonly string[],
): Fault[] {
  const rates = mix.faults(machines);
  const faults: Fault[] = [];
  const spread = (everyHours: number, make: (atMs: number) => Fault) => {
    const everyMs = everyHours * hourMs;
    for (let atMs = random.exponential(everyMs); atMs < hours * hourMs; atMs += random.exponential(everyMs)) {
      faults.push(make(Math.round(atMs)));
    }
  };
  const lasting = (meanMs: number) => Math.round(5_000 + random.exponential(meanMs));
  const silences = [
    ['machine', rates.machineHours, outageMs.machine],
    ['partition', rates.partitionHours, outageMs.partition],
    ['drain', rates.drainHours, outageMs.drain],
  ] as const;
  for (const [kind, hoursEach, meanMs] of silences) {
    spread(hoursEach / machines, atMs => ({
      kind,
      atMs,
      lastsMs: lasting(meanMs),
      machine: random.integer(0, machines),
    }));
  }
  spread(rates.headHours / machines, atMs => ({
    kind: 'head',
    atMs,
    machine: random.integer(0, machines),
    pick: random.integer(0, 1 << 30),
  }));
  spread(rates.controlPlaneHours, atMs => ({ kind: 'control-plane', atMs, lastsMs: lasting(minuteMs) }));
  spread(rates.probesHours, atMs => ({ kind: 'probes', atMs, each: random.integer(1, 30), words: doubts }));
  spread(rates.priceHours, atMs => ({
    kind: 'price',
    atMs,
    model: random.pick(models),
    permille: random.integer(600, 1_400),
  }));
  return faults.sort((one, other) => one.atMs - other.atMs);
}
