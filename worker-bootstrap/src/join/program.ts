/** Where the agent's program lies for good: npx runs it from a cache that npm may empty at any time. */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join, sep } from 'node:path';

export interface Program {
  /** The agent's program. */
  main: string;
  /** The lock of its Ray environment. */
  lock: string;
}

const within = (root: string): Program => ({
  main: join(root, 'agent', 'program', 'main.mjs'),
  lock: join(root, 'ray.lock'),
});

/** `root`: of the release that this program is of. Copies it to where install.sh unpacks releases, unless it is there. */
export function settle(root: string, directory: string): Program {
  const releases = join(directory, 'releases');
  // What runs is known by its real path; the directory may have been named by another.
  if (existsSync(releases) && realpathSync(root).startsWith(`${realpathSync(releases)}${sep}`)) return within(root);
  const version = readFileSync(join(root, 'VERSION'), 'utf8').trim();
  const home = join(releases, `${version}-${digestOf(root).slice(0, 12)}`);
  if (existsSync(home)) return within(home);
  mkdirSync(releases, { recursive: true, mode: 0o700 });
  const draft = mkdtempSync(join(releases, '.new-'));
  try {
    cpSync(root, join(draft, 'release'), { recursive: true });
    renameSync(join(draft, 'release'), home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return within(home);
}

function digestOf(root: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(root, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath ?? entry.path, entry.name))
    .sort()) {
    hash
      .update(`${name.slice(root.length)}\0`)
      .update(readFileSync(name))
      .update('\0');
  }
  return hash.digest('hex');
}
