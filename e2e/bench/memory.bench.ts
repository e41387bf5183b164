/** (e) What control plane and agent cost with nothing to do, a minute after the start: memory, and processor over a minute. */
import { readFileSync } from 'node:fs';
import { Joined, type Part, Stack } from '../src/harness/index.js';
import { report } from './measure.js';

const idleMs = 60_000;
/** USER_HZ, by which /proc counts: 100 on every Linux (proc_pid_stat(5)). */
const ticksPerSecond = 100;

/** MiB: resident, and proportional (shared pages counted by share). */
function memory(pid: number): { rssMiB: number; pssMiB: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]);
  return { rssMiB: kib('Rss') / 1024, pssMiB: kib('Pss') / 1024 };
}

/** Of a processor, so far: its own, and that of children that have ended (Python parts, vendors' tools). Seconds. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0) / ticksPerSecond;
}

const pause = () => new Promise(resolve => setTimeout(resolve, idleMs));
const stack = await Stack.start();
let joined: Joined | undefined;
try {
  joined = await Joined.join(stack, 'joined', '--cpus', '2');
  const pids = {
    controlPlane: (await stack.part('control plane' satisfies Part)).pid,
    agent: (await stack.part('agent' satisfies Part)).pid,
    joinedAgent: joined.agentPid,
  };
  await pause();
  const each = <T>(of: (pid: number) => T) =>
    Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, of(pid)])) as Record<keyof typeof pids, T>;
  const before = each(cpuSeconds);
  await pause();
  const after = each(cpuSeconds);
  const cpuPercent = Object.fromEntries(
    (Object.keys(pids) as (keyof typeof pids)[]).map(name => [
      name,
      (100 * (after[name] - before[name])) / (idleMs / 1000),
    ]),
  );
  report('memory', {
    memory: each(memory),
    cpuPercentOfOneCore: cpuPercent,
    aim: { controlPlaneMiB: 150, agentMiB: 60, agentCpuPercent: 1 },
  });
} finally {
  await joined?.leave();
  await stack.stop();
}
