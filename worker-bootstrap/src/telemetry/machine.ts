/** What the kernel tells of the machine. */
import { readdir, readFile, statfs } from 'node:fs/promises';
import os from 'node:os';
import type { MachineTelemetry } from '@iocloud/contracts';
import { memoryAvailableBytes } from '../inventory/index.js';

/** Of all processors since boot, in ticks; null where the kernel has no /proc/stat. */
export interface CpuTicks {
  busy: number;
  all: number;
}

export function cpuTicks(procStat: string): CpuTicks | null {
  const line = /^cpu\s+(.*)$/m.exec(procStat)?.[1];
  if (!line) return null;
  // user nice system idle iowait irq softirq steal; guest time is in user's already (proc_stat(5)).
  const ticks = line.trim().split(/\s+/).slice(0, 8).map(Number);
  const all = ticks.reduce((sum, value) => sum + value, 0);
  return { all, busy: all - (ticks[3] ?? 0) - (ticks[4] ?? 0) };
}

/** Share of the time between two looks; null for the first, and where nothing can be said. */
export function usageBetween(before: CpuTicks | null, now: CpuTicks | null): number | null {
  if (!before || !now || now.all <= before.all) return null;
  return Math.min(1, Math.max(0, (now.busy - before.busy) / (now.all - before.all)));
}

/** Bytes of these devices together in /proc/net/dev. */
export function trafficOf(procNetDev: string, devices: ReadonlySet<string>): { received: number; sent: number } {
  let [received, sent] = [0, 0];
  for (const line of procNetDev.split('\n')) {
    const [name, counts] = line.split(':');
    if (!name || !counts || !devices.has(name.trim())) continue;
    const fields = counts.trim().split(/\s+/).map(Number);
    received += fields[0] ?? 0;
    sent += fields[8] ?? 0;
  }
  return { received, sent };
}

/** Bridges, tunnels and the ends of namespaces carry again what these have carried. */
async function hardware(): Promise<Set<string>> {
  const directory = '/sys/class/net';
  const names = await readdir(directory).catch((): string[] => []);
  const found = new Set<string>();
  for (const name of names) {
    const parts = await readdir(`${directory}/${name}`).catch((): string[] => []);
    if (parts.includes('device')) found.add(name);
  }
  return found;
}

const textOf = (file: string) => readFile(file, 'utf8').catch(() => '');

export class MachineReader {
  #before: CpuTicks | null = null;

  constructor(readonly directory: string) {}

  async read(): Promise<MachineTelemetry> {
    const now = cpuTicks(await textOf('/proc/stat'));
    const cpuUsage = usageBetween(this.#before, now);
    this.#before = now;
    const netDev = await textOf('/proc/net/dev');
    const traffic = netDev === '' ? null : trafficOf(netDev, await hardware());
    const { bavail, blocks, bsize } = await statfs(this.directory);
    const { user, system } = process.cpuUsage();
    return {
      cpuUsage,
      load1: os.loadavg()[0] ?? 0,
      memoryAvailableBytes: await memoryAvailableBytes(),
      diskFreeBytes: bavail * bsize,
      diskTotalBytes: blocks * bsize,
      receivedBytes: traffic?.received ?? null,
      sentBytes: traffic?.sent ?? null,
      agentCpuSeconds: (user + system) / 1e6,
      agentMemoryBytes: process.memoryUsage.rss(),
    };
  }
}
