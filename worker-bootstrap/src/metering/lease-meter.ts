/** Cumulative counters of each lease, from 0 in each run of the agent. Pure: what was read and when comes in. */
import type { LeaseId, LeaseUsage } from '@iocloud/contracts';
import type { Network } from './traffic.js';

export interface Reading {
  leaseId: LeaseId;
  /** It ran before this agent did: what it had used by then was counted by the one before, or is lost. */
  adopted: boolean;
  cpuMs: number;
  residentBytes: number;
  network: Network | null;
}

interface Counted {
  usage: LeaseUsage;
  /** Highest total that was read, less what is not counted. */
  baseCpuMs: number;
  readAtMs: number;
}
const mebibyte = 2 ** 20;

export class LeaseMeter {
  readonly #counted = new Map<LeaseId, Counted>();
  /** Fractions of a MiB × second. */
  readonly #memory = new Map<LeaseId, number>();
  /** Of each network, what it had sent when it was read last. */
  readonly #sent = new Map<string, number>();

  /** Of leases that have ended, until they have been told. */
  #ended: LeaseUsage[] = [];

  /** `nowMs`: of a clock that never jumps. Leases that are not among these have ended. */
  take(readings: readonly Reading[], nowMs: number): void {
    const current = new Set(readings.map(({ leaseId }) => leaseId));
    for (const [leaseId, { usage }] of this.#counted) {
      if (current.has(leaseId)) continue;
      this.#ended.push(usage);
      this.#counted.delete(leaseId);
      this.#memory.delete(leaseId);
    }
    for (const reading of readings) this.#count(reading, nowMs);
    this.#countTraffic(readings);
  }

  usage(): LeaseUsage[] {
    const ended = this.#ended;
    this.#ended = [];
    return [...ended, ...[...this.#counted.values()].map(({ usage }) => ({ ...usage }))];
  }

  #count({ leaseId, adopted, cpuMs, residentBytes }: Reading, nowMs: number): void {
    const counted = this.#counted.get(leaseId) ?? {
      usage: { leaseId, cpuMs: 0, mibSeconds: 0, egressBytes: 0 },
      baseCpuMs: adopted ? cpuMs : 0,
      readAtMs: nowMs,
    };
    this.#counted.set(leaseId, counted);
    const { usage } = counted;
    // A process that nobody waited for takes its time with it; a counter does not go back.
    usage.cpuMs = Math.max(usage.cpuMs, Math.round(cpuMs - counted.baseCpuMs));
    const seconds = Math.max(0, nowMs - counted.readAtMs) / 1_000;
    const memory = (this.#memory.get(leaseId) ?? 0) + (residentBytes / mebibyte) * seconds;
    this.#memory.set(leaseId, memory);
    usage.mibSeconds = Math.floor(memory);
    counted.readAtMs = nowMs;
  }

  /** Leases of one cluster on one machine share a network: what left it is counted once, with the first of them. */
  #countTraffic(readings: readonly Reading[]): void {
    const seen = new Set<string>();
    for (const { leaseId, adopted, network } of [...readings].sort((a, b) => (a.leaseId < b.leaseId ? -1 : 1))) {
      if (!network || seen.has(network.name)) continue;
      seen.add(network.name);
      const before = this.#sent.get(network.name) ?? (adopted ? network.sentBytes : 0);
      const counted = this.#counted.get(leaseId);
      if (counted) counted.usage.egressBytes += Math.max(0, network.sentBytes - before);
      this.#sent.set(network.name, network.sentBytes);
    }
    for (const name of this.#sent.keys()) if (!seen.has(name)) this.#sent.delete(name);
  }
}
