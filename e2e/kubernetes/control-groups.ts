/** The control group that a kubelet takes for the root of its machine: one in each hierarchy of version 1. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';
const prefix = 'iocloud-bed-';
const needed = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'pids'];
const hierarchies = [...needed, 'blkio', 'hugetlb', 'systemd'];

/** Why there can be none here, or null. */
export function controlGroupObstacle(): string | null {
  const there = new Set(readdirSync(root));
  const missing = needed.filter(name => !there.has(name));
  if (missing.length > 0) return `control groups of version 1 are needed (not here: ${missing.join(', ')})`;
  return readFileSync('/proc/mounts', 'utf8').includes(`${root}/memory cgroup rw`)
    ? null
    : 'control groups cannot be made here: they are mounted read-only';
}

/** Its name tells whose it is, so that what a killed test run leaves is found. */
export async function makeControlGroup(name: string): Promise<string> {
  const group = `${prefix}${process.pid}-${name}`;
  for (const hierarchy of await present()) await mkdir(join(root, hierarchy, group), { recursive: true });
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    await writeFile(join(root, 'cpuset', group, file), await readFile(join(root, 'cpuset', file)));
  }
  // A group counts as one process beside those that are in none: it stands for the dozens of a cluster's nodes.
  await writeFile(join(root, 'cpu', group, 'cpu.shares'), String(16 * 1024));
  return `/${group}`;
}

/** Those of this process and of processes that are no more; the processes in them must have ended. */
export async function removeControlGroups(): Promise<void> {
  for (const hierarchy of await readdir(root)) {
    for (const name of await readdir(join(root, hierarchy))) {
      const owner = name.startsWith(prefix) ? Number(name.slice(prefix.length).split('-')[0]) : Number.NaN;
      if (owner === process.pid || (owner > 0 && !lives(owner))) await removeTree(join(root, hierarchy, name));
    }
  }
}

async function present(): Promise<string[]> {
  const there = new Set(await readdir(root));
  return hierarchies.filter(name => there.has(name));
}

async function removeTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeTree(join(directory, entry.name));
  }
  // Processes that were just killed leave it a moment later; the next run removes what stays.
  await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EBUSY') throw error;
  });
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
