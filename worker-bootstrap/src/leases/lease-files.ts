/** A lease's directory, STATE_DIR/leases/<lease id>/: what is known of it across the agent's deaths. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LeaseSpec, leaseSpec } from '@iocloud/contracts';
import { z } from 'zod';
import type { Launch } from './launch.js';

const processFile = z.object({ pid: z.int(), startTicks: z.number() });
const statusFile = z.object({ ready: z.boolean(), rayNodeId: z.string().nullable() });
const exitFile = z.object({ message: z.string() });

const tombstoneDays = 30;
const dayMs = 86_400_000;

/** What a process.json holds where an agent has given up on a lease that was never started. */
const neverStarted = { pid: 0, startTicks: 0 };

export class LeaseStore {
  readonly #leases: string;
  readonly #ended: string;
  readonly #tombstones = new Set<string>();

  constructor(stateDir: string) {
    this.#leases = join(stateDir, 'leases');
    this.#ended = join(stateDir, 'ended');
  }

  /** Makes the directories and returns the leases that are on disk. */
  async open(now: number): Promise<LeaseSpec[]> {
    await mkdir(this.#leases, { recursive: true, mode: 0o700 });
    await mkdir(this.#ended, { recursive: true, mode: 0o700 });
    for (const leaseId of await readdir(this.#ended)) {
      const { mtimeMs } = await stat(join(this.#ended, leaseId));
      if (now - mtimeMs > tombstoneDays * dayMs) await unlink(join(this.#ended, leaseId));
      else this.#tombstones.add(leaseId);
    }
    const specs: LeaseSpec[] = [];
    for (const name of await readdir(this.#leases)) {
      const spec = await this.#read(name, 'spec.json', leaseSpec);
      // Without its spec it was being made or being wiped when the agent died: nothing of it ran.
      if (spec && !this.hasEnded(name)) specs.push(spec);
      else await rm(this.directory(name), { recursive: true, force: true });
    }
    return specs;
  }

  directory(leaseId: string): string {
    return join(this.#leases, leaseId);
  }

  hasEnded(leaseId: string): boolean {
    return this.#tombstones.has(leaseId);
  }

  /** Records the lease, durably, before anything of it runs. */
  async create(spec: LeaseSpec): Promise<void> {
    const directory = this.directory(spec.leaseId);
    await mkdir(directory, { mode: 0o700 });
    await mkdir(join(directory, 'tmp'));
    await writeFile(join(directory, 'token'), spec.authToken, { mode: 0o600 });
    await this.#write(spec.leaseId, 'spec.json', spec);
  }

  writeLaunch(leaseId: string, launch: Launch): Promise<void> {
    return this.#write(leaseId, 'launch.json', launch);
  }

  async launch(leaseId: string): Promise<Launch | null> {
    const text = await readFile(join(this.directory(leaseId), 'launch.json'), 'utf8').catch(() => '');
    return text === '' ? null : (JSON.parse(text) as Launch);
  }

  process(leaseId: string) {
    return this.#read(leaseId, 'process.json', processFile);
  }

  status(leaseId: string) {
    return this.#read(leaseId, 'status.json', statusFile);
  }

  exit(leaseId: string) {
    return this.#read(leaseId, 'exit.json', exitFile);
  }

  writeExit(leaseId: string, message: string): Promise<void> {
    return this.#write(leaseId, 'exit.json', { message });
  }

  /**
   * Decides that a lease whose process is not known shall never start: a supervisor that an agent started just before
   * it died then finds the file and ends. Returns the process if the supervisor was first.
   */
  async claimNeverStarted(leaseId: string) {
    const file = join(this.directory(leaseId), 'process.json');
    const temporary = `${file}.${randomBytes(4).toString('hex')}.new`;
    await writeFile(temporary, JSON.stringify(neverStarted));
    try {
      await link(temporary, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      await unlink(temporary);
    }
    const process = await this.process(leaseId);
    return process && process.pid !== neverStarted.pid ? process : null;
  }

  /** The last bytes of a text file of the lease, or ''. */
  async tail(leaseId: string, name: string, maxBytes: number): Promise<string> {
    const text = await readFile(join(this.directory(leaseId), name), 'utf8').catch(() => '');
    return text.slice(-maxBytes).trim();
  }

  /** Forgets all of the lease but that it has been. */
  async wipe(leaseId: string): Promise<void> {
    await writeFile(join(this.#ended, leaseId), '');
    this.#tombstones.add(leaseId);
    await rm(this.directory(leaseId), { recursive: true, force: true, maxRetries: 5 });
  }

  async #read<T>(leaseId: string, name: string, schema: z.ZodType<T>): Promise<T | null> {
    const text = await readFile(join(this.directory(leaseId), name), 'utf8').catch(() => '');
    return text === '' ? null : schema.parse(JSON.parse(text));
  }

  async #write(leaseId: string, name: string, value: unknown): Promise<void> {
    const file = join(this.directory(leaseId), name);
    const temporary = `${file}.${randomBytes(4).toString('hex')}.new`;
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(JSON.stringify(value));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  }
}
