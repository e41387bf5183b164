/** What happens to a simulated system from outside: tenants, work and faults, whatever the ground is. */
import {
  type Demand,
  type PriorityClass,
  priorityClasses,
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
  /** Bad probes of work that is well: so many for each that runs. */
  | { kind: 'probes'; atMs: number; each: number }
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

const noDemand: Demand = {};

export function tenantsOf(random: Random, gpus: number): TenantTerms[] {
  const count = Math.max(3, Math.min(1_000, Math.round(Math.sqrt(gpus))));
  return Array.from({ length: count }, (_, index) => {
    const limited = random.chance(0.5);
    const quota = Math.max(8, Math.round((gpus / count) * (0.5 + random.next())));
    return {
      tenantId: `tenant-${index}`,
      weight: random.pick([1, 1, 2, 4]),
      quota: limited ? { gpus: quota } : null,
      cohort: limited && random.chance(0.8) ? `cohort-${index % Math.max(1, Math.round(count / 8))}` : null,
      borrowingLimit: random.chance(0.3) ? { gpus: quota } : noDemand,
    };
  });
}

/** All of a job but what it asks the ground for. */
export function jobOf<Request>(
  random: Random,
  number: number,
  submittedAtMs: number,
  tenants: TenantTerms[],
  asked: { request: Request; shape: string; gpus: number; usualMicroUsdPerHour: number },
): SimulatedJob<Request> {
  const { request, shape, gpus, usualMicroUsdPerHour } = asked;
  const workMs = Math.round(Math.max(minuteMs, Math.min(6 * hourMs, random.exponential(0.7 * hourMs))));
  const expectedDurationMs = random.chance(0.15) ? null : Math.round(workMs * (1 + random.next()) + minuteMs);
  const cheap = random.chance(0.1);
  const priorityClass: PriorityClass = random.chance(0.04) ? 'urgent' : random.pick(priorityClasses.slice(0, 3));
  return {
    workload: {
      id: `job-${number}`,
      tenantId: random.pick(tenants).tenantId,
      priorityClass,
      submittedAtMs,
      request,
      shape,
      demand: { gpus },
      preemptible: random.chance(0.5),
      expectedDurationMs,
      deadlineMs: cheap ? submittedAtMs + workMs + random.integer(1, 12) * hourMs : null,
      cheapWindow: cheap
        ? { maxMicroUsdPerHour: Math.round(usualMicroUsdPerHour * (0.7 + random.next() * 0.4)) }
        : null,
      budgetMicroUsd: random.chance(0.15)
        ? Math.round((usualMicroUsdPerHour * (expectedDurationMs ?? workMs) * (0.5 + 2 * random.next())) / hourMs)
        : null,
    },
    workMs,
    checkpointEveryMs: random.pick([5, 15, 60]) * minuteMs,
    failsAfterMs: random.chance(0.05) ? Math.round(workMs * random.next()) : null,
  };
}

/** So many that about `load` of all accelerators would be busy, if there were no waste. */
export function arrivals(random: Random, { hours, gpus }: Size, meanGpuMs: number): number[] {
  const load = 0.7 + random.next() * 0.7;
  const everyMs = meanGpuMs / (gpus * load);
  const times: number[] = [];
  for (let atMs = random.exponential(everyMs); atMs < hours * hourMs; atMs += random.exponential(everyMs)) {
    times.push(Math.round(atMs));
  }
  return times;
}

export function faultsOf(
  random: Random,
  { hours }: Size,
  rates: FaultRates,
  machines: number,
  models: readonly string[],
): Fault[] {
  const faults: Fault[] = [];
  const spread = (everyHours: number, make: (atMs: number) => Fault) => {
    const everyMs = everyHours * hourMs;
    for (let atMs = random.exponential(everyMs); atMs < hours * hourMs; atMs += random.exponential(everyMs)) {
      faults.push(make(Math.round(atMs)));
    }
  };
  const lasting = (meanMs: number) => Math.round(5_000 + random.exponential(meanMs));
  const silences = [
    ['machine', rates.machineHours, 20 * minuteMs],
    ['partition', rates.partitionHours, 2 * minuteMs],
    ['drain', rates.drainHours, 30 * minuteMs],
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
  spread(rates.probesHours, atMs => ({ kind: 'probes', atMs, each: random.integer(1, 30) }));
  spread(rates.priceHours, atMs => ({
    kind: 'price',
    atMs,
    model: random.pick(models),
    permille: random.integer(600, 1_400),
  }));
  return faults.sort((one, other) => one.atMs - other.atMs);
}

/** Far worse than any real fleet: a seed is to have something of each. */
export const seedFaults = (gpus: number): FaultRates => ({
  machineHours: 40,
  partitionHours: 25,
  drainHours: 40,
  headHours: 30,
  controlPlaneHours: 3,
  probesHours: Math.max(0.5, gpus / 3_600),
  priceHours: 1,
});
