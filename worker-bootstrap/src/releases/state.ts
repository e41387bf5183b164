/**
 * Which release runs on this machine: one file, replaced whole, so that a kill at any moment leaves the state before a
 * step or the one after it. Read by the starter, which has to stay small: nothing but Node is needed here.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Release {
  /** Of its directory below `releases/`. */
  name: string;
  version: string;
  serial: number;
  floor: number;
  sha256: string;
}

export interface Trial {
  release: Release;
  /** The control plane's name for it. */
  attempt: string;
  /** Within which the agent must have proven itself, counted anew at each start. */
  healthySeconds: number;
  starts: number;
  /** Ray nodes that were up when the agent before made way: the new one has to have them all. */
  leases: string[];
}

export interface InstallState {
  /** One OpenSSH line; null: nothing but the owner's own hand changes what runs here. */
  key: string | null;
  /** The highest that has proven itself here. */
  highestSerial: number;
  floor: number;
  current: Release;
  previous: Release | null;
  trial: Trial | null;
  failed: { attempt: string; reason: string } | null;
}

export const stateFile = (home: string) => join(home, 'release.json');
export const releaseDirectory = (home: string, name: string) => join(home, 'releases', name);
export const programOf = (home: string, { name }: Release) =>
  join(releaseDirectory(home, name), 'agent', 'program', 'main.mjs');

/** Throws where it cannot be read: then nobody knows what may run. */
export function readState(home: string): InstallState {
  const file = stateFile(home);
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as InstallState;
  } catch (error) {
    throw new Error(
      `${file} cannot be read (${(error as Error).message}): run the line that made this machine join again`,
    );
  }
}

/** On disk when it returns, after a power cut too. The process is in the name: a watchdog may write at the same time. */
export function writeState(home: string, state: InstallState, writer = 'agent'): void {
  const file = stateFile(home);
  const fresh = `${file}.${writer}-${process.pid}`;
  const descriptor = openSync(fresh, 'w', 0o600);
  try {
    writeSync(descriptor, `${JSON.stringify(state, null, 2)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(fresh, file);
  const directory = openSync(dirname(file), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
