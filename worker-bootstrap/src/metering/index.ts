/** What the leases on this machine use of it. */
import type { LeaseId, LeaseUsage } from '@iocloud/contracts';
import { LeaseMeter } from './lease-meter.js';
import { readProcesses, type Units, unitsOfSystem, usesOfTrees } from './process-table.js';
import { networkOf } from './traffic.js';

export interface RunningLease {
  leaseId: LeaseId;
  /** Its supervisor, from which all its processes descend. */
  pid: number;
  adopted: boolean;
}

/** Reads them all at once, again and again. Nothing is counted on systems without /proc. */
export class Metering {
  readonly #meter = new LeaseMeter();
  #units: Units | null | undefined;

  async read(leases: readonly RunningLease[]): Promise<LeaseUsage[]> {
    this.#units ??= await unitsOfSystem();
    if (!this.#units) return [];
    const uses =
      leases.length === 0
        ? new Map()
        : usesOfTrees(await readProcesses(this.#units), new Set(leases.map(({ pid }) => pid)));
    const nowMs = performance.now();
    const readings = [];
    for (const { leaseId, pid, adopted } of leases) {
      const { cpuMs = 0, residentBytes = 0 } = uses.get(pid) ?? {};
      readings.push({ leaseId, adopted, cpuMs, residentBytes, network: await networkOf(pid) });
    }
    return this.#meter.take(readings, nowMs);
  }
}
