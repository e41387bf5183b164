/** Memory and processor time of the control plane and of the servers that it keeps its state in, from /proc. */
import { readFileSync } from 'node:fs';
import { type Part, processes, type Stack } from '../../src/harness/index.js';

export interface Footprint {
  /** Shared pages count in each process that has them. */
  rssMiB: number;
  /** Shared pages counted by share: of several processes, what they take together. */
  pssMiB: number;
  /** Since their start; of PostgreSQL with its processes that have ended. */
  cpuSeconds: number;
  processes: number;
}

/** Clock ticks a second in /proc: USER_HZ, 100 on Linux whatever its timer. */
const ticksPerSecond = 100;

function one(pid: number): Footprint {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime, stime, and those of children that have ended and were waited for.
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { rssMiB: kib('Rss') / 1024, pssMiB: kib('Pss') / 1024, cpuSeconds: ticks / ticksPerSecond, processes: 1 };
}

/** Of processes, some of which may just end. */
function sum(pids: number[]): Footprint {
  const total: Footprint = { rssMiB: 0, pssMiB: 0, cpuSeconds: 0, processes: 0 };
  for (const pid of pids) {
    try {
      const { rssMiB, pssMiB, cpuSeconds } = one(pid);
      total.rssMiB += rssMiB;
      total.pssMiB += pssMiB;
      total.cpuSeconds += cpuSeconds;
      total.processes += 1;
    } catch (error) {
      if (!/ENOENT|ESRCH/.test(String(error))) throw error;
    }
  }
  return total;
}

export interface Footprints {
  controlPlane: Footprint;
  postgres: Footprint;
  redis: Footprint;
  launcher: Footprint;
  /** PSS of all of them. */
  totalMiB: number;
}

export async function footprints(stack: Stack): Promise<Footprints> {
  const pid = async (part: Part) => (await stack.part(part)).pid;
  const postmaster = await pid('postgres');
  const sessions = processes().filter(({ parent }) => parent === postmaster);
  const found = {
    controlPlane: sum([await pid('control plane')]),
    postgres: sum([postmaster, ...sessions.map(session => session.pid)]),
    redis: sum([await pid('redis')]),
    launcher: sum([stack.launcherPid]),
  };
  return { ...found, totalMiB: Object.values(found).reduce((total, { pssMiB }) => total + pssMiB, 0) };
}

/** Processor seconds between two looks. */
export const cpuBetween = (before: Footprints, after: Footprints) => ({
  controlPlane: after.controlPlane.cpuSeconds - before.controlPlane.cpuSeconds,
  postgres: after.postgres.cpuSeconds - before.postgres.cpuSeconds,
  redis: after.redis.cpuSeconds - before.redis.cpuSeconds,
});
