/** What has left the network that a process is in. */
import { readFile, readlink } from 'node:fs/promises';

export interface Network {
  /** The kernel's name of it: processes of one network have the same. */
  name: string;
  sentBytes: number;
}

/** Null for the machine's own network, which is everybody's, and where it cannot be seen. */
export async function networkOf(pid: number): Promise<Network | null> {
  try {
    const name = await readlink(`/proc/${pid}/ns/net`);
    if (name === (await readlink('/proc/self/ns/net'))) return null;
    return { name, sentBytes: sentBytes(await readFile(`/proc/${pid}/net/dev`, 'utf8')) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code && ['ENOENT', 'EACCES', 'EPERM', 'ESRCH', 'EINVAL'].includes(code)) return null;
    throw error;
  }
}

/** By all its devices but the loopback, of /proc/PID/net/dev. Pure. */
export function sentBytes(procNetDev: string): number {
  return procNetDev
    .split('\n')
    .map(line => line.split(':'))
    .filter(([name, counts]) => counts !== undefined && name?.trim() !== 'lo')
    .reduce((sum, [, counts = '']) => sum + (Number(counts.trim().split(/\s+/)[8]) || 0), 0);
}
