/** What runs on this machine, from /proc: to find a server's processes, to kill one, to see that none is left. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface Process {
  pid: number;
  parent: number;
  command: string;
}

/** All processes that can be read just now; one that ends meanwhile is left out. */
export function processes(): Process[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (fields[0] === 'Z') return [];
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return [{ pid: Number(name), parent: Number(fields[1]), command }];
      } catch {
        return [];
      }
    });
}

/** Those whose arguments or environment name the directory: everything that a stack with this home has started. */
export function processesNaming(directory: string): Process[] {
  return processes().filter(({ pid, command }) => {
    if (pid === process.pid) return false;
    if (command.includes(directory)) return true;
    try {
      return (
        readFileSync(`/proc/${pid}/environ`, 'utf8').includes(directory) ||
        readlinkSync(`/proc/${pid}/cwd`).startsWith(directory)
      );
    } catch {
      return false;
    }
  });
}

/** Polls until `look` gives a value; fails with `what` after the time. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  intervalMs = 100,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== null && found !== undefined && found !== false) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${timeoutMs / 1000} s: ${what}${last ? ` (${String(last)})` : ''}`);
    }
    await new Promise(resolve => setTimeout(resolve, intervalMs));
  }
}
