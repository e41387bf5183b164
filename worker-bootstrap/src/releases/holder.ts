/** At most one agent for a directory: who holds it, by pid and the time at which that process began. */
import { execFileSync } from 'node:child_process';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readProcStat } from '../proc-stat.js';

const file = (home: string) => join(home, 'agent.pid');
const lookMs = 100;

/** What tells a process from a later one with its pid; null where none runs. */
function beginningOf(pid: number): string | null {
  try {
    if (process.platform !== 'linux')
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
    const stat = readProcStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    // A zombie is dead.
    return stat === null || stat.state === 'Z' ? null : String(stat.startTicks);
  } catch {
    return null; // it has gone
  }
}

/** The live process, not this one, that the file names, or null. */
function holderIn(path: string): number | null {
  try {
    const { pid, begun } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number; begun: string };
    return pid !== process.pid && beginningOf(pid) === begun ? pid : null;
  } catch {
    return null; // there is none
  }
}

/** Waits for one that is just ending. Throws where it does not. */
export async function hold(home: string, patienceMs: number): Promise<void> {
  const mine = `${file(home)}.${process.pid}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, begun: beginningOf(process.pid) }), { mode: 0o600 });
  try {
    for (const deadline = Date.now() + patienceMs; !take(mine, file(home)); ) {
      const holder = holderIn(file(home));
      if (holder === null) putAside(file(home));
      else if (Date.now() > deadline) {
        throw new Error(`an agent runs from ${home} already (pid ${holder}): end that one first`);
      } else await new Promise(resolve => setTimeout(resolve, lookMs));
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Whole or not at all: a link cannot be seen half written, and fails where there is something. */
function take(mine: string, place: string): boolean {
  try {
    linkSync(mine, place);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

/** Of one that has ended. Another may have taken the place meanwhile: then it gets it back. */
function putAside(place: string): void {
  const aside = `${place}.old-${process.pid}`;
  try {
    renameSync(place, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (holderIn(aside) !== null) take(aside, place);
  rmSync(aside, { force: true });
}
