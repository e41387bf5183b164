/**
 * All that a lease in a container may write: a file system of a fixed size in a file of the lease's, so that no lease fills
 * the machine's disk, and its data goes with that one file.
 */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Mount } from './engine.js';

const run = promisify(execFile);
const unmountPatienceMs = 10_000;
const betweenTriesMs = 50;

const imageOf = (leaseDir: string): string => join(leaseDir, 'volume.img');
export const volumeOf = (leaseDir: string): string => join(leaseDir, 'volume');

/** The directories on it, and where a container sees them. */
const directories = { tmp: '/tmp', 'var-tmp': '/var/tmp', home: '/home/ray' } as const;
const rootsHome = 'root';

export const volumeMounts = (leaseDir: string): Mount[] => [
  ...Object.entries(directories).map(([name, target]) => ({
    source: join(volumeOf(leaseDir), name),
    target,
    writable: true,
  })),
  // In images root's home is closed to others, and what is mounted below it is to be seen.
  { source: join(volumeOf(leaseDir), rootsHome), target: '/root', writable: true },
];

export async function makeVolume(leaseDir: string, bytes: number, renter: number): Promise<void> {
  const image = imageOf(leaseDir);
  const file = await open(image, 'wx', 0o600);
  await file.truncate(bytes);
  await file.close();
  // No journal: nobody mounts it again after a crash of the machine but to read logs.
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-O', '^has_journal', '-E', 'lazy_itable_init=1,nodiscard', image]);
  await mountVolume(leaseDir);
  for (const name of Object.keys(directories)) {
    const directory = join(volumeOf(leaseDir), name);
    await mkdir(directory);
    await chmod(directory, name === 'home' ? 0o755 : 0o1777);
    await chown(directory, renter, renter);
  }
  await mkdir(join(volumeOf(leaseDir), rootsHome), { mode: 0o755 });
}

/** Unless it is mounted. No error where there is none. */
export async function mountVolume(leaseDir: string): Promise<void> {
  const image = await open(imageOf(leaseDir)).catch(() => null);
  if (!image) return;
  await image.close();
  await mkdir(volumeOf(leaseDir), { recursive: true, mode: 0o700 });
  if (await isMounted(leaseDir)) return;
  await run('mount', ['-o', 'loop,nosuid,nodev,noatime', imageOf(leaseDir), volumeOf(leaseDir)]);
}

/** Throws when something still uses it after a while. */
export async function unmountVolume(leaseDir: string): Promise<void> {
  for (const deadline = Date.now() + unmountPatienceMs; await isMounted(leaseDir); ) {
    try {
      await run('umount', [volumeOf(leaseDir)]);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      // The kernel takes the mounts of a container apart a moment after its last process.
      await pause(betweenTriesMs);
    }
  }
}

async function isMounted(leaseDir: string): Promise<boolean> {
  // Elsewhere there are no containers, and no such list.
  if (process.platform !== 'linux') return false;
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  return mounts.split('\n').some(line => line.split(' ')[1] === volumeOf(leaseDir));
}
