/** From a seed to work on machines of three kinds. */
import type { PoolMachine, PoolRequest } from '@iocloud/control-plane/core/queueing';
import { Random } from './random.js';
import { arrivals, faultsOf, hourMs, jobOf, type Scenario, type Size, seedFaults, tenantsOf } from './scenario.js';

export interface PoolScenario extends Scenario<PoolRequest> {
  pools: PoolMachine[];
}

/** Models with their share of the fleet and a price of the market's order (an A100 costs 0.7 to 1.2 USD/h). */
const models = [
  { kind: 'rtx-4090', share: 0.5, devices: 8, microUsd: 400_000 },
  { kind: 'a100-sxm', share: 0.3, devices: 8, microUsd: 950_000 },
  { kind: 'h100-sxm', share: 0.2, devices: 8, microUsd: 2_200_000 },
] as const;

const meanGpuMs = 2.2 * 0.7 * hourMs;

export function poolScenario(seed: number, size: Size): PoolScenario {
  const random = new Random(seed);
  const pools = poolsOf(size.gpus);
  const tenants = tenantsOf(random, size.gpus);
  const perKind = new Map<string, number>();
  for (const { kind } of pools) perKind.set(kind, (perKind.get(kind) ?? 0) + 1);
  const jobs = arrivals(random, size, meanGpuMs).map((atMs, number) => {
    const { kind, microUsd } = random.pick(models);
    const devicesEach = random.chance(0.08) ? 8 : random.pick([1, 1, 1, 1, 2, 4]);
    const most = Math.max(1, Math.floor((perKind.get(kind) ?? 0) / 2));
    const workers = random.chance(0.1) ? random.integer(1, Math.min(16, most) + 1) : 1;
    const gpus = workers * devicesEach;
    return jobOf(random, number, atMs, tenants, {
      request: { kind, workers, devicesEach },
      shape: `${kind} ${workers}x${devicesEach}`,
      gpus,
      usualMicroUsdPerHour: gpus * microUsd,
    });
  });
  const kinds = models.map(({ kind }) => kind);
  const faults = faultsOf(random, size, seedFaults(size.gpus), pools.length, kinds);
  const machines = pools.map(({ machineId, devices }) => ({ machineId, gpus: devices }));
  const gpus = machines.reduce((sum, machine) => sum + machine.gpus, 0);
  return { seed, size, machines, gpus, pools, tenants, jobs, faults };
}

function poolsOf(gpus: number): PoolMachine[] {
  return models.flatMap(({ kind, share, devices, microUsd }) =>
    Array.from({ length: Math.max(1, Math.round((gpus * share) / devices)) }, (_, index) => ({
      machineId: `${kind}-${index}`,
      kind,
      devices,
      microUsdPerDeviceHour: microUsd,
    })),
  );
}
