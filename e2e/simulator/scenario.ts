/** From a seed to a fleet, tenants, work and faults: all that happens to the simulated system from outside. */
import {
  type Demand,
  type PoolMachine,
  type PoolRequest,
  priorityClasses,
  type TenantTerms,
  type Workload,
} from '@iocloud/control-plane/core/queueing';
import { Random } from './random.js';

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;

export interface Size {
  hours: number;
  gpus: number;
}

export interface SimulatedJob {
  workload: Workload<PoolRequest>;
  /** What it takes in truth, undisturbed. */
  workMs: number;
  checkpointEveryMs: number;
  /** It fails by its own error after so much work. Null: it does not. */
  failsAfterMs: number | null;
}

export type Fault =
  | { kind: 'machine' | 'partition'; atMs: number; lastsMs: number; machine: number }
  | { kind: 'head'; atMs: number; pick: number }
  | { kind: 'control-plane'; atMs: number; lastsMs: number }
  /** Bad probes of work that is well: so many for each that runs. */
  | { kind: 'probes'; atMs: number; each: number }
  | { kind: 'price'; atMs: number; model: string; microUsdPerDeviceHour: number };

export interface Scenario {
  seed: number;
  size: Size;
  machines: PoolMachine[];
  tenants: TenantTerms[];
  jobs: SimulatedJob[];
  faults: Fault[];
}

/** Models with their share of the fleet and a price of the market's order (FACTS: an A100 costs 0.7 to 1.2 USD/h). */
const models = [
  { kind: 'rtx-4090', share: 0.5, devices: 8, microUsd: 400_000 },
  { kind: 'a100-sxm', share: 0.3, devices: 8, microUsd: 950_000 },
  { kind: 'h100-sxm', share: 0.2, devices: 8, microUsd: 2_200_000 },
] as const;

const noDemand: Demand = {};

export function scenarioOf(seed: number, size: Size): Scenario {
  const random = new Random(seed);
  const machines = fleetOf(size.gpus);
  const tenants = tenantsOf(random, size.gpus);
  const jobs = jobsOf(random, size, tenants, machines);
  return { seed, size, machines, tenants, jobs, faults: faultsOf(random, size, machines.length) };
}

function fleetOf(gpus: number): PoolMachine[] {
  const machines: PoolMachine[] = [];
  for (const { kind, share, devices, microUsd } of models) {
    const count = Math.max(1, Math.round((gpus * share) / devices));
    for (let index = 0; index < count; index += 1) {
      machines.push({ machineId: `${kind}-${index}`, kind, devices, microUsdPerDeviceHour: microUsd });
    }
  }
  return machines;
}

function tenantsOf(random: Random, gpus: number): TenantTerms[] {
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

function jobsOf(
  random: Random,
  { hours, gpus }: Size,
  tenants: TenantTerms[],
  machines: PoolMachine[],
): SimulatedJob[] {
  const jobs: SimulatedJob[] = [];
  const meanGpuMs = 2.2 * 0.7 * hourMs;
  const load = 0.7 + random.next() * 0.7;
  const everyMs = meanGpuMs / (gpus * load);
  const perKind = new Map<string, number>();
  for (const { kind, devices } of machines) perKind.set(kind, (perKind.get(kind) ?? 0) + devices);
  for (let atMs = random.exponential(everyMs); atMs < hours * hourMs; atMs += random.exponential(everyMs)) {
    jobs.push(jobOf(random, jobs.length, Math.round(atMs), tenants, perKind));
  }
  return jobs;
}

function jobOf(
  random: Random,
  number: number,
  submittedAtMs: number,
  tenants: TenantTerms[],
  perKind: Map<string, number>,
): SimulatedJob {
  const { kind, microUsd } = random.pick(models);
  const whole = random.chance(0.08);
  const devicesEach = whole ? 8 : random.pick([1, 1, 1, 1, 2, 4]);
  const most = Math.max(1, Math.floor((perKind.get(kind) ?? 0) / 8 / 2));
  const workers = random.chance(0.1) ? random.integer(1, Math.min(16, most) + 1) : 1;
  const gpus = workers * devicesEach;
  const workMs = Math.round(Math.max(minuteMs, Math.min(6 * hourMs, random.exponential(0.7 * hourMs))));
  const expectedDurationMs = random.chance(0.15) ? null : Math.round(workMs * (1 + random.next()) + minuteMs);
  const cheap = random.chance(0.1);
  const priceOfAll = gpus * microUsd;
  const request = { kind, workers, devicesEach };
  return {
    workload: {
      id: `job-${number}`,
      tenantId: random.pick(tenants).tenantId,
      priorityClass: random.chance(0.04) ? 'urgent' : random.pick(priorityClasses.slice(0, 3)),
      submittedAtMs,
      request,
      shape: `${kind} ${workers}x${devicesEach}`,
      demand: { gpus },
      preemptible: random.chance(0.5),
      expectedDurationMs,
      deadlineMs: cheap ? submittedAtMs + workMs + random.integer(1, 12) * hourMs : null,
      cheapWindow: cheap ? { maxMicroUsdPerHour: Math.round(priceOfAll * (0.7 + random.next() * 0.4)) } : null,
      budgetMicroUsd: random.chance(0.15)
        ? Math.round((priceOfAll * (expectedDurationMs ?? workMs) * (0.5 + 2 * random.next())) / hourMs)
        : null,
    },
    workMs,
    checkpointEveryMs: random.pick([5, 15, 60]) * minuteMs,
    failsAfterMs: random.chance(0.05) ? Math.round(workMs * random.next()) : null,
  };
}

function faultsOf(random: Random, { hours, gpus }: Size, machines: number): Fault[] {
  const faults: Fault[] = [];
  const spread = (everyMs: number, make: (atMs: number) => Fault) => {
    for (let atMs = random.exponential(everyMs); atMs < hours * hourMs; atMs += random.exponential(everyMs)) {
      faults.push(make(Math.round(atMs)));
    }
  };
  const perMachineMs = (machineHours: number) => (machineHours * hourMs) / machines;
  const lasting = (meanMs: number) => Math.round(5_000 + random.exponential(meanMs));
  spread(perMachineMs(40), atMs => ({
    kind: 'machine',
    atMs,
    lastsMs: lasting(20 * minuteMs),
    machine: random.integer(0, machines),
  }));
  spread(perMachineMs(25), atMs => ({
    kind: 'partition',
    atMs,
    lastsMs: lasting(2 * minuteMs),
    machine: random.integer(0, machines),
  }));
  spread(perMachineMs(60), atMs => ({ kind: 'head', atMs, pick: random.integer(0, 1 << 30) }));
  spread(3 * hourMs, atMs => ({ kind: 'control-plane', atMs, lastsMs: lasting(minuteMs) }));
  spread(Math.max(30 * minuteMs, gpus * 1_000), atMs => ({ kind: 'probes', atMs, each: random.integer(1, 30) }));
  spread(hourMs, atMs => {
    const { kind, microUsd } = random.pick(models);
    return {
      kind: 'price',
      atMs,
      model: kind,
      microUsdPerDeviceHour: Math.round(microUsd * (0.6 + 0.8 * random.next())),
    };
  });
  return faults;
}
