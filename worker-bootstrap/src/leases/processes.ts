/** Processes of the machine that this agent may not be the parent of. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { readProcStat } from '../proc-stat.js';
import { leaseMarker } from './launch.js';

const run = promisify(execFile);

/** A process and when it began, in clock ticks since boot (0 where the system does not tell), so that a reused pid is never mistaken for it. */
export interface ProcessIdentity {
  pid: number;
  startTicks: number;
}

export async function isAlive({ pid, startTicks }: ProcessIdentity): Promise<boolean> {
  if (process.platform !== 'linux') return signal(pid, 0);
  const stat = await statOf(pid);
  // A zombie is dead.
  return stat !== null && stat.state !== 'Z' && stat.state !== 'X' && stat.startTicks === startTicks;
}

/** Of a process that was just started. */
export async function identityOf(pid: number): Promise<ProcessIdentity> {
  return { pid, startTicks: (await statOf(pid))?.startTicks ?? 0 };
}

const statOf = async (pid: number) => readProcStat(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''));

/** Signals the process if it is still the same. */
export async function signalProcess(identity: ProcessIdentity, name: NodeJS.Signals): Promise<void> {
  if (await isAlive(identity)) signal(identity.pid, name);
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** A process shows no environment while it is being started: only after so many looks without any is there none. */
const emptyLooks = 3;
const betweenLooksMs = 20;

/** Kills every process that carries the lease's marker, until none is left. Only needed without namespaces. */
export async function killMarked(leaseId: string): Promise<void> {
  for (let empty = 0; empty < emptyLooks; ) {
    const found = await marked(leaseId);
    for (const pid of found) signal(pid, 'SIGKILL');
    empty = found.length === 0 ? empty + 1 : 0;
    if (empty < emptyLooks) await pause(betweenLooksMs);
  }
}

/** A process that has given itself a title has overwritten some of its environment: the id stands in several places there. */
async function marked(leaseId: string): Promise<number[]> {
  if (process.platform !== 'linux') return markedByPs(`${leaseMarker}=${leaseId}`);
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  const found: number[] = [];
  for (const pid of pids) {
    // Of processes of other users, and of zombies, nothing can be read: they are not ours to kill.
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.includes(leaseId)) found.push(Number(pid));
  }
  return found;
}

async function markedByPs(marker: string): Promise<number[]> {
  const { stdout } = await run('ps', ['-axEww', '-o', 'pid=,command='], { maxBuffer: 64 * 2 ** 20 });
  return stdout
    .split('\n')
    .filter(line => line.includes(marker))
    .map(line => Number.parseInt(line, 10));
}
