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

/** What a lease used after the last look at it is not counted. Milliseconds. */
const lookIntervalMs = 5_000;

/** Looks again and again. Nothing is counted on systems without /proc. */
export class Metering {
  readonly #meter = new LeaseMeter();
  #units: Units | null | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(
    readonly running: () => readonly RunningLease[],
    readonly onFault: (error: unknown) => void,
  ) {}

  start(): void {
    this.#timer = setInterval(() => this.#look().catch(this.onFault), lookIntervalMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking?.catch(() => undefined);
  }

  /** Of all that run, and once more of those that have ended since this was asked last. */
  async usage(): Promise<LeaseUsage[]> {
    await this.#look();
    return this.#meter.usage();
  }

  /** One look at a time. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    this.#units ??= await unitsOfSystem();
    if (!this.#units) return;
    const leases = this.running();
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
    this.#meter.take(readings, nowMs);
  }
}
