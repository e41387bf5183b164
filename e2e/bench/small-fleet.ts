/** A small fleet of three models whose prices differ by maker's model and by supplier. */
import type { FleetNode } from '@iocloud/control-plane/core/matching';
import { GiB, pick } from './fleet-world.js';

export const models = ['a100-80-sxm', 'h100-sxm', 'l40s'] as const;
const usualPrice = { 'a100-80-sxm': 800_000, 'h100-sxm': 1_900_000, l40s: 900_000 };

export interface Shape {
  nodes: number;
  /** Of what a node has, not listed: so many of its devices are in use, and nobody sees them. */
  inUse(random: () => number, devices: number): number;
}

export function smallFleet({ nodes, inUse }: Shape, random: () => number): FleetNode[] {
  return Array.from({ length: nodes }, (_, at): FleetNode => {
    const devices = pick(random, [1, 2, 4, 8]);
    const count = devices - inUse(random, devices);
    const model = pick(random, models);
    return {
      nodeId: `nd_${String(at).padStart(3, '0')}` as FleetNode['nodeId'],
      ownerId: 'tn_owner' as FleetNode['ownerId'],
      shared: true,
      supplierId: `su_${at}`,
      domain: `do_${at % 4}`,
      country: pick(random, ['DE', 'FR', 'US']),
      region: '',
      latitudeDeg: null,
      longitudeDeg: null,
      cpus: pick(random, [8, 16, 32]) + devices,
      memoryBytes: 512 * GiB,
      pools: [{ model, count, indices: Array.from({ length: count }, (_, index) => index), simulated: true }],
      interconnect: 'nvlink',
      network: 'ethernet',
      connectivity: 'high',
      compliance: [],
      rayVersions: ['2.60.0'],
      microUsdPerGpuHour: Math.round(usualPrice[model] * (0.7 + 0.6 * random())),
      microUsdPerCpuHour: pick(random, [0, 5_000, 20_000]),
      reputation: 1,
      stake: 1,
      load: 0,
      schedulable: true,
    };
  });
}
