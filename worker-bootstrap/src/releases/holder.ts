/** At most one agent for a directory: who holds it, by pid and the time at which that process began. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const file = (home: string) => join(home, 'agent.pid');
const lookMs = 100;

/** What tells a process from a later one with its pid; null where none runs. */
function beginningOf(pid: number): string | null {
  try {
    if (process.platform !== 'linux')
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name stands in brackets and may hold anything, brackets too. A zombie is dead.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null; // it has gone
  }
}

function holderOf(home: string): number | null {
  try {
    const { pid, begun } = JSON.parse(readFileSync(file(home), 'utf8')) as { pid: number; begun: string };
    return pid !== process.pid && beginningOf(pid) === begun ? pid : null;
  } catch {
    return null; // none was ever there, or it was cut short while writing: then it does not run
  }
}

/** Waits for one that is just ending. Throws where it does not. */
export async function hold(home: string, patienceMs: number): Promise<void> {
  const mine = JSON.stringify({ pid: process.pid, begun: beginningOf(process.pid) });
  for (const deadline = Date.now() + patienceMs; ; ) {
    const holder = holderOf(home);
    if (holder === null) {
      rmSync(file(home), { force: true });
      try {
        writeFileSync(file(home), mine, { flag: 'wx', mode: 0o600 });
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another was faster: look again
      }
    } else if (Date.now() > deadline) {
      throw new Error(`an agent runs from ${home} already (pid ${holder}): end that one first`);
    }
    await new Promise(resolve => setTimeout(resolve, lookMs));
  }
}
