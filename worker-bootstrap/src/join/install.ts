/** Lays down what the agent is started from: its release, the starter and the keeper beside it, and which release runs. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type ReleaseManifest, releaseManifest } from '@iocloud/contracts';
import { isSignedRelease } from '@iocloud/contracts/wire';
import {
  type InstallState,
  keeperScript,
  nameOf,
  type Release,
  readState,
  stateFile,
  writeState,
} from '../releases/index.js';
import { objection } from '../releases/steps.js';
import { JoinFault } from './options.js';

const timeoutMs = 15_000;
export const starterOf = (home: string) => join(home, 'start.mjs');
export const keeperOf = (home: string) => join(home, 'keep.sh');

/**
 * `main`: the program of the release that this machine shall run now. `approvedKey`: that signs its releases from now on,
 * where it just joins; a machine that has joined keeps the one that it has. Throws JoinFault.
 */
export async function install(
  home: string,
  main: string,
  controlPlane: string,
  approvedKey: string | null,
): Promise<void> {
  const before = existsSync(stateFile(home)) ? readState(home) : null;
  const key = before ? before.key : approvedKey;
  const tree = dirname(dirname(dirname(main)));
  const version = (await readFile(join(tree, 'VERSION'), 'utf8')).trim();
  const manifest = key === null ? null : await signedManifest(controlPlane, key, version);
  const name = isBelow(home, tree) ? basename(tree) : manifest ? nameOf(manifest) : ownNameOf(tree, version);
  if (manifest && name !== nameOf(manifest)) {
    throw new JoinFault(`the control plane has another agent by now than ${name}: run the line once more`);
  }
  const { serial, floor, sha256 } = manifest ?? { serial: 0, floor: 0, sha256: '' };
  const release = { name, version, serial, floor, sha256 };
  const why = before && objection(before, release);
  if (key !== null && why) throw new JoinFault(`this agent may not run here: ${why}`);
  await lieBelow(home, tree, name);
  await replace(starterOf(home), file => copyFile(join(tree, 'agent', 'program', 'start.mjs'), file));
  await replace(keeperOf(home), file => writeFile(file, keeperScript));
  writeState(home, stateWith(before, release, key), 'join');
}

/** What runs is known by its real path; the directory may have been named by another. */
const isBelow = (home: string, tree: string): boolean => {
  const releases = join(home, 'releases');
  return existsSync(releases) && realpathSync(dirname(tree)) === realpathSync(releases);
};

/** Of a release that nobody signs, run from elsewhere: two that differ have two names. */
function ownNameOf(tree: string, version: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(tree, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile());
  for (const file of files.map(entry => join(entry.parentPath ?? entry.path, entry.name)).sort()) {
    hash
      .update(`${file.slice(tree.length)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return `${version}-${hash.digest('hex').slice(0, 12)}`;
}

/** By the owner's own hand: without a trial. */
function stateWith(before: InstallState | null, release: Release, key: string | null): InstallState {
  const previous = before?.current.name === release.name ? before.previous : (before?.current ?? null);
  return {
    key,
    highestSerial: Math.max(before?.highestSerial ?? 0, release.serial),
    floor: Math.max(before?.floor ?? 0, release.floor),
    current: release,
    previous,
    trial: null,
    failed: null,
  };
}

/** A release that was run from elsewhere is copied: nothing may take it away. */
async function lieBelow(home: string, tree: string, name: string): Promise<void> {
  const releases = join(home, 'releases');
  if (existsSync(join(releases, name))) return;
  await mkdir(releases, { recursive: true });
  const work = await mkdtemp(join(releases, '.new-'));
  try {
    await cp(tree, join(work, name), { recursive: true });
    await rename(join(work, name), join(releases, name));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function replace(file: string, write: (fresh: string) => Promise<void>): Promise<void> {
  await write(`${file}.new`);
  await chmod(`${file}.new`, 0o700);
  await rename(`${file}.new`, file);
}

/** Of the release that the control plane gives away, which has to be the one that this is. Throws JoinFault. */
async function signedManifest(controlPlane: string, key: string, version: string): Promise<ReleaseManifest> {
  const [text, signature] = await Promise.all(
    ['manifest.json', 'manifest.json.sig'].map(async name => {
      const response = await fetch(`${controlPlane}/agent/${name}`, { signal: AbortSignal.timeout(timeoutMs) }).catch(
        (error: Error) => {
          throw new JoinFault(`the control plane at ${controlPlane} cannot be reached: ${error.message}`);
        },
      );
      if (!response.ok)
        throw new JoinFault(
          `the control plane gives no ${name} of its agent (${response.status}): its operator signs the release`,
        );
      return response.text();
    }),
  );
  if (!isSignedRelease(text ?? '', signature ?? '', key)) {
    throw new JoinFault('the agent is not signed by the key that this machine trusts: nothing of it is installed');
  }
  const manifest = releaseManifest.parse(JSON.parse(text ?? ''));
  if (manifest.version !== version) {
    throw new JoinFault(
      `the control plane has the agent ${manifest.version} by now, and this is ${version}: run the line once more`,
    );
  }
  return manifest;
}
