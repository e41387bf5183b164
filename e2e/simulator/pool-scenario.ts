/** From a seed to work on machines of three kinds. */
import type { PoolMachine, PoolRequest } from '@iocloud/control-plane/core/queueing';
import { Random } from './random.js';
import { arrivals, faultsOf, jobOf, type Mix, type Scenario, type Size, tenantsOf } from './scenario.js';

export interface PoolScenario extends Scenario<PoolRequest> {
  pools: PoolMachine[];
}

/** Models with their share of the fleet and a price of the market's order (an A100 costs 0.7 to 1.2 USD/h). */
const models = [
  { kind: 'rtx-4090', share: 0.5, microUsd: 400_000 },
  { kind: 'a100-sxm', share: 0.3, microUsd: 950_000 },
  { kind: 'h100-sxm', share: 0.2, microUsd: 2_200_000 },
] as const;

const meanGpus = 2.2;
const mostDevices = 8;

export function poolScenario(seed: number, size: Size, mix: Mix): PoolScenario {
  const random = new Random(seed);
  const kinds = models.slice(0, mix.kinds);
  const devices = mix.devices ?? [mostDevices];
  const pools = poolsOf(size.gpus, kinds, devices);
  const tenants = tenantsOf(random, size.gpus, mix);
  const largest = Math.max(...devices);
  const perKind = new Map<string, number>();
  for (const { kind } of pools) perKind.set(kind, (perKind.get(kind) ?? 0) + 1);
  const jobs = arrivals(random, size, mix, meanGpus).map((atMs, number) => {
    const { kind, microUsd } = random.pick(kinds);
    const devicesEach = Math.min(largest, random.chance(0.08) ? mostDevices : random.pick([1, 1, 1, 1, 2, 4]));
    const most = Math.max(1, Math.floor((perKind.get(kind) ?? 0) * mix.largestGang));
    const workers = random.chance(mix.gangs) ? random.integer(1, Math.min(16, most) + 1) : 1;
    const gpus = workers * devicesEach;
    return jobOf(random, number, atMs, tenants, mix, {
      request: { kind, workers, devicesEach },
      shape: `${kind} ${workers}x${devicesEach}`,
      gpus,
      usualMicroUsdPerHour: gpus * microUsd,
    });
  });
  const faults = faultsOf(
    random,
    size,
    mix,
    pools.length,
    kinds.map(({ kind }) => kind),
  );
  const machines = pools.map(({ machineId, devices: count }) => ({ machineId, gpus: count }));
  const gpus = machines.reduce((sum, machine) => sum + machine.gpus, 0);
  return { seed, size, machines, gpus, pools, tenants, jobs, faults };
}

function poolsOf(gpus: number, kinds: readonly (typeof models)[number][], devices: readonly number[]): PoolMachine[] {
  const whole = kinds.reduce((sum, { share }) => sum + share, 0);
  const mean = devices.reduce((sum, count) => sum + count, 0) / devices.length;
  return kinds.flatMap(({ kind, share, microUsd }) =>
    Array.from({ length: Math.max(1, Math.round((gpus * share) / whole / mean)) }, (_, index) => ({
      machineId: `${kind}-${index}`,
      kind,
      devices: devices[index % devices.length] as number,
      microUsdPerDeviceHour: microUsd,
    })),
  );
}
