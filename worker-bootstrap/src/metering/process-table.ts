/** What the kernel says of all processes at one moment. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface ProcessUse {
  parent: number;
  /** Its own time on processors, and that of its children that have ended and were waited for. Milliseconds. */
  cpuMs: number;
  residentBytes: number;
}
export type ProcessTable = ReadonlyMap<number, ProcessUse>;

export interface Units {
  ticksPerSecond: number;
  pageBytes: number;
}

/** Null where the system has no /proc. */
export async function unitsOfSystem(): Promise<Units | null> {
  if (process.platform !== 'linux') return null;
  const ask = async (name: string) => Number((await run('getconf', [name])).stdout);
  return { ticksPerSecond: await ask('CLK_TCK'), pageBytes: await ask('PAGESIZE') };
}

/** One line of /proc/PID/stat (proc(5)); null for the empty text of one that has gone. Pure. */
export function readUse(text: string, { ticksPerSecond, pageBytes }: Units): ProcessUse | null {
  if (text === '') return null;
  // The command's name stands in brackets and may hold anything, brackets too. The third field follows it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  const ticks = field(14) + field(15) + field(16) + field(17);
  return { parent: field(4), cpuMs: (ticks * 1_000) / ticksPerSecond, residentBytes: field(24) * pageBytes };
}

export async function readProcesses(units: Units): Promise<ProcessTable> {
  const table = new Map<number, ProcessUse>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const use = readUse(await readFile(`/proc/${name}/stat`, 'utf8').catch(() => ''), units);
    if (use) table.set(Number(name), use);
  }
  return table;
}

/** Of these processes and all that descend from each, together. Pure. */
export function usesOfTrees(table: ProcessTable, roots: ReadonlySet<number>): Map<number, Omit<ProcessUse, 'parent'>> {
  const uses = new Map([...roots].map(root => [root, { cpuMs: 0, residentBytes: 0 }]));
  for (const [pid, { cpuMs, residentBytes }] of table) {
    const root = rootOf(table, roots, pid);
    const use = root === null ? undefined : uses.get(root);
    if (!use) continue;
    use.cpuMs += cpuMs;
    use.residentBytes += residentBytes;
  }
  return uses;
}

function rootOf(table: ProcessTable, roots: ReadonlySet<number>, from: number): number | null {
  // The table is no snapshot: a number that was used again meanwhile could close a circle.
  for (let [pid, steps] = [from, 0]; pid > 0 && steps < table.size; steps += 1) {
    if (roots.has(pid)) return pid;
    pid = table.get(pid)?.parent ?? 0;
  }
  return null;
}
