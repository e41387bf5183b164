/** The releases of this machine, as the agent that runs from one of them sees them: takes in a new one, and settles it. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import {
  type LeaseObservation,
  type LeaseSpec,
  type ReleaseManifest,
  type ReleaseOffer,
  type ReleaseReport,
  releaseManifest,
  type releaseVerdict,
} from '@iocloud/contracts';
import { currentKey, isSignedRelease } from '@iocloud/contracts/wire';
import type { z } from 'zod';
import { StreamFault } from '../connection/index.js';
import type { Logger } from '../log.js';
import { type InstallState, type Release, readState, releaseDirectory, writeState } from './state.js';
import { needed, objection, onTrial, settled } from './steps.js';

const run = promisify(execFile);
/** A control plane that stalls must not keep an offer open for ever. Milliseconds. */
const silenceMs = 60_000;
export const nameOf = ({ version, sha256 }: Pick<Release, 'version' | 'sha256'>) => `${version}-${sha256.slice(0, 12)}`;

export class Installation {
  #state: InstallState;
  #taking = false;

  /** `home`: the directory that everything of the agent lies in. Throws where nobody knows what runs here. */
  constructor(
    readonly home: string,
    readonly log: Logger,
    /** To be told when this agent is to make way. */
    readonly onSwitch: () => void,
  ) {
    this.#state = readState(home);
  }

  report(): ReleaseReport {
    const { current, previous, trial, failed } = this.#state;
    const shown = ({ version, serial, sha256 }: Release) => ({ version, serial, sha256 });
    return {
      running: shown(trial?.release ?? current),
      onTrial: trial !== null,
      previous: previous && shown(previous),
      failed,
    };
  }

  /**
   * Called with what the control plane wants and what is there, once a connection has been acknowledged. Returns what is
   * to be reported where that has proven a release which was on trial.
   */
  async settle(wanted: readonly LeaseSpec[], seen: readonly LeaseObservation[]): Promise<ReleaseReport | null> {
    const { trial } = this.#state;
    if (!trial) return null;
    const up = new Set(seen.filter(({ phase }) => phase !== 'exited').map(({ leaseId }) => leaseId as string));
    const lost = trial.leases.filter(leaseId => wanted.some(lease => lease.leaseId === leaseId) && !up.has(leaseId));
    if (lost.length > 0) {
      this.log.error({ lost }, 'Ray nodes of the agent before are not there: this release does not prove itself');
      return null;
    }
    this.#write(settled(this.#state));
    this.log.info(
      { version: trial.release.version, serial: trial.release.serial },
      'the new release has proven itself',
    );
    await this.prune();
    return this.report();
  }

  /** Removes releases that nothing may need any more, and what a kill has left half done. */
  async prune(): Promise<void> {
    const keep = needed(this.#state);
    const releases = join(this.home, 'releases');
    for (const name of await readdir(releases)) {
      if (!keep.has(name)) await rm(join(releases, name), { recursive: true, force: true });
    }
  }

  /**
   * Serves one offer: says whether the archive may come, takes it, and makes way for it. `part`: gets Ray nodes ready to be
   * without an agent for a while, and returns the leases that are up. Throws StreamFault where the release may not run here.
   */
  async take(stream: Duplex, offer: ReleaseOffer, agree: () => void, part: () => Promise<string[]>): Promise<void> {
    if (this.#taking || this.#state.trial) throw new StreamFault('not-ready', 'another release is just coming');
    const { manifest, key } = this.#judge(offer);
    this.#taking = true;
    const releases = join(this.home, 'releases');
    const work = await mkdtemp(join(releases, '.new-'));
    let verdict: z.infer<typeof releaseVerdict> = { switches: false, reason: '' };
    try {
      agree();
      const archive = join(work, 'archive.tgz');
      const sha256 = await receive(stream, archive, offer.bytes);
      if (sha256 !== manifest.sha256) {
        verdict.reason = `the archive of ${manifest.version} is not the one that its manifest names: its SHA-256 is ${sha256}`;
      } else {
        const release = await this.#unpack(work, archive, manifest);
        this.#write(onTrial(this.#state, { ...trialOf(offer), release, leases: await part() }, key));
        verdict = { switches: true, reason: '' };
      }
    } catch (error) {
      // A connection that broke is tried again; a full disk is for the operator to know.
      if (stream.destroyed) throw error;
      verdict.reason = `${manifest.version} could not be laid down: ${(error as Error).message}`.slice(0, 1000);
    } finally {
      this.#taking = false;
      await rm(work, { recursive: true, force: true });
    }
    if (!verdict.switches) this.log.error({ reason: verdict.reason }, 'a release was refused');
    await new Promise<void>(resolve => stream.end(`${JSON.stringify(verdict)}\n`, () => resolve()));
    if (!verdict.switches) return;
    this.log.info({ version: manifest.version, serial: manifest.serial }, 'making way for a new release');
    this.onSwitch();
  }

  #judge(offer: ReleaseOffer): { manifest: ReleaseManifest; key: string } {
    const refuse = (reason: string) => {
      this.log.error({ reason }, 'a release was refused');
      return new StreamFault('bad-request', reason);
    };
    const pinned = this.#state.key;
    if (pinned === null) throw refuse('this machine has no release key: it joined before there was one');
    const key = currentKey(pinned, offer.rotations);
    if (!isSignedRelease(offer.manifest, offer.signature, key)) {
      throw refuse('the release is not signed by the key that this machine trusts');
    }
    const parsed = releaseManifest.safeParse(parsedJson(offer.manifest));
    if (!parsed.success) throw refuse(`the signed manifest cannot be read: ${parsed.error.message.slice(0, 300)}`);
    if (parsed.data.sha256 === this.#state.current.sha256) {
      throw new StreamFault('not-ready', 'this release runs here already');
    }
    const why = objection(this.#state, parsed.data);
    if (why !== null) throw refuse(why);
    return { manifest: parsed.data, key };
  }

  /** Beside what runs; it has its name only when it lies there whole. */
  async #unpack(work: string, archive: string, manifest: ReleaseManifest): Promise<Release> {
    const { version, serial, floor, sha256 } = manifest;
    const release = { name: nameOf(manifest), version, serial, floor, sha256 };
    const unpacked = join(work, 'unpacked');
    await mkdir(unpacked);
    await run('tar', ['-xzf', archive, '-C', unpacked]);
    const directory = releaseDirectory(this.home, release.name);
    await rm(directory, { recursive: true, force: true });
    await rename(join(unpacked, 'iocloud-agent'), directory);
    return release;
  }

  #write(state: InstallState): void {
    writeState(this.home, state);
    this.#state = state;
  }
}

const trialOf = ({ attempt, healthySeconds }: ReleaseOffer) => ({ attempt, healthySeconds });

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a signed text that is no manifest: the schema says so
  }
}

/** Writes `bytes` bytes to `file` and returns their SHA-256. Throws where they do not come. */
async function receive(stream: Duplex, file: string, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  const silent = setTimeout(() => stream.destroy(new Error('the archive does not come')), silenceMs);
  const out = await open(file, 'w', 0o600);
  let left = bytes;
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      silent.refresh();
      const part = chunk.subarray(0, left);
      left -= part.length;
      hash.update(part);
      await out.write(part);
      if (left === 0) break;
    }
  } finally {
    clearTimeout(silent);
    await out.close();
  }
  if (left > 0) throw new Error(`the stream ended ${left} bytes before the archive did`);
  return hash.digest('hex');
}
