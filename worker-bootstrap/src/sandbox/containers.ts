/** Containers on this machine: finds an engine that works by running one, and starts, enters and removes those of leases. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Device } from '@iocloud/contracts';
import type { AgentConfig } from '../config.js';
import type { Logger } from '../log.js';
import {
  type Box,
  type Engine,
  engineCommand,
  execCommand,
  type Mount,
  ownerLabel,
  removeCommand,
  renterId,
  runCommand,
} from './engine.js';
import { makeVolume, unmountVolume, volumeMounts } from './volume.js';

const run = promisify(execFile);
const pullTimeoutMs = 600_000;
const trialTimeoutMs = 60_000;
const removalPatienceMs = 10_000;
const betweenRemovalsMs = 200;
const trialBytes = 256 * 2 ** 20;
const trialDiskBytes = 64 * 2 ** 20;

/** Beside what a lease names for its work, for Ray's own processes. */
const rayMemoryBytes = 2 ** 30;
/** Ray alone has some hundred threads on a head, and some tens in each worker process. */
const threadsOfRay = 4_096;
const threadsOfACpu = 1_024;
const mostThreads = 32_768;
/** The most that Linux has, and what engines may set where the agent may not raise limits itself. */
const processesOfAll = [4_194_304, 32_768];

type Wish = NonNullable<AgentConfig['container']>;

export interface BoxRequest {
  name: string;
  network: string;
  cpus: number;
  memoryBytes: number;
  devices: readonly Device[];
  mounts: readonly Mount[];
  command: readonly string[];
}

interface Around {
  owner: string;
  environments: readonly string[];
  pythonDirectory: string;
  network: string;
  stateDir: string;
  /** All of the machine's: what the engine cannot give to containers would be found out too late. */
  devices: readonly Device[];
}

export class Containers {
  private constructor(
    readonly engine: Engine,
    readonly owner: string,
    readonly diskBytes: number,
    readonly openFiles: number,
    /** What every container sees of the machine: Ray's environments and the Python below them. */
    readonly programs: readonly Mount[],
  ) {}

  /** Throws with the reason where no engine runs a container as leases need it. */
  static async choose(wish: Wish, around: Around, log: Logger): Promise<Containers> {
    const program = wish.engine;
    await run(program, ['--version']).catch(() => {
      throw new Error(`${program} cannot be run: install it, or name another as container.engine`);
    });
    await bringImage(program, wish.image);
    const programs = await programsOf([...around.environments], around.pythonDirectory);
    const openFiles = await hardLimitOfOpenFiles();
    let reason = '';
    // The engine's own runtime first; crun of Debian 12 refuses machines whose cgroups are of both versions.
    const runtimes = wish.runtime === undefined ? [null, 'runc', 'crun'] : [wish.runtime];
    const ways = runtimes.flatMap(runtime => processesOfAll.map(processes => ({ runtime, processes })));
    for (const way of ways) {
      const engine = { program, image: wish.image, ...way };
      const containers = new Containers(engine, around.owner, wish.diskBytes, openFiles, programs);
      try {
        await containers.#trial(around);
        log.info({ engine }, 'leases run in containers');
        return containers;
      } catch (error) {
        reason ||= lastLineOf(error);
        log.info({ engine, error: lastLineOf(error) }, 'containers cannot be run in this way');
      }
    }
    throw new Error(`no container could be run with ${program} on ${wish.image}: ${reason}`);
  }

  /** The engine with its options. */
  get command(): string[] {
    return engineCommand(this.engine);
  }

  /** Starts a container as a lease's, and Ray in it as the renter, with a volume to write to. */
  async #trial({ stateDir, network, devices, environments: [environment = ''] }: Around): Promise<void> {
    const name = this.nameOf('trial');
    const directory = join(stateDir, 'container-trial');
    const python = join(environment, 'bin', 'python');
    const clear = async () => {
      await this.remove(name);
      await unmountVolume(directory);
      await rm(directory, { recursive: true, force: true });
    };
    // An agent that was killed at this may have left its own.
    await clear();
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await makeVolume(directory, trialDiskBytes, renterId);
      const started = this.runCommand({
        name,
        network,
        cpus: 1,
        memoryBytes: trialBytes,
        devices,
        mounts: volumeMounts(directory),
        command: [python, '-c', 'import time; time.sleep(600)'],
      });
      await runEngine(started);
      const test = 'import ray, ssl, pathlib; pathlib.Path("/tmp/here").write_text("x")';
      await runEngine(execCommand(this.command, name, renterId, [python, '-c', test]));
    } finally {
      await clear();
    }
  }

  runCommand(request: BoxRequest): string[] {
    const box: Box = {
      ...request,
      owner: this.owner,
      cpus: Math.max(1, request.cpus),
      pids: Math.min(mostThreads, threadsOfRay + threadsOfACpu * Math.ceil(request.cpus)),
      openFiles: this.openFiles,
      mounts: [...this.programs, ...request.mounts],
      devices: deviceNames(request.devices),
    };
    return runCommand(this.engine, box);
  }

  removeCommand(name: string): string[] {
    return removeCommand(this.engine, name);
  }

  nameOf(leaseId: string): string {
    return `iocloud-${this.owner}-${leaseId}`;
  }

  /** What a lease is held to: its own memory, and some for Ray itself. */
  memoryLimitOf(memoryBytes: number): number {
    return memoryBytes + rayMemoryBytes;
  }

  /** Removes what is left of these; no error where nothing is. */
  async remove(name: string): Promise<void> {
    await runEngine(this.removeCommand(name));
  }

  /** Removes the containers that an agent of this state left, but those of these leases. */
  async sweep(leaseIds: readonly string[]): Promise<void> {
    const kept = new Set(leaseIds.map(id => this.nameOf(id)));
    const filter = `--filter=label=${ownerLabel}=${this.owner}`;
    const output = await this.#run(['ps', '--all', filter, '--format={{.Names}}']);
    for (const name of output.split('\n').filter(Boolean)) if (!kept.has(name)) await this.remove(name);
  }

  async #run(args: string[]): Promise<string> {
    const [program = '', ...options] = this.command;
    const { stdout } = await run(program, [...options, ...args], { timeout: trialTimeoutMs });
    return stdout;
  }
}

/** Runs an engine's command for a lease. Throws with what it said. */
async function runEngine([program = '', ...args]: readonly string[]): Promise<void> {
  await run(program, args, { timeout: trialTimeoutMs });
}

/** Throws when it is still there after a while: the engine itself tidies up after a container's end, and refuses meanwhile. */
export async function removeContainer(command: readonly string[]): Promise<void> {
  for (const deadline = Date.now() + removalPatienceMs; ; ) {
    try {
      return await runEngine(command);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(betweenRemovalsMs);
    }
  }
}

async function bringImage(program: string, image: string): Promise<void> {
  try {
    await run(program, ['image', 'inspect', '--format={{.Id}}', image]);
  } catch {
    await run(program, ['pull', '--quiet', image], { timeout: pullTimeoutMs }).catch(error => {
      throw new Error(`the image ${image} is not here and cannot be pulled: ${lastLineOf(error)}`);
    });
  }
}

/** An environment's Python stands elsewhere, and that must be seen at its place, too; one below /usr is the image's matter. */
async function programsOf(environments: string[], pythonDirectory: string): Promise<Mount[]> {
  const bases = await Promise.all(
    environments.map(async environment => {
      const program = 'import sys; print(sys.base_prefix)';
      const { stdout } = await run(join(environment, 'bin', 'python'), ['-E', '-s', '-S', '-c', program]);
      return stdout.trim();
    }),
  );
  const paths = new Set([...environments, ...bases.filter(base => base !== '/usr'), pythonDirectory]);
  return [...paths].map(path => ({ source: path, target: path, writable: false }));
}

/** By the Container Device Interface, which both vendors' toolkits write for the engines (nvidia-ctk, amd-ctk). */
function deviceNames(devices: readonly Device[]): string[] {
  return devices.filter(device => !device.simulated).map(({ vendor, index }) => `${vendor}.com/gpu=${index}`);
}

/** An engine that may not raise limits can be given no more than the agent has. */
async function hardLimitOfOpenFiles(): Promise<number> {
  const match = /^Max open files\s+\S+\s+(\d+)/m.exec(await readFile('/proc/self/limits', 'utf8'));
  return match ? Number(match[1]) : 1_024;
}

function lastLineOf(error: unknown): string {
  const stderr = (error as { stderr?: string }).stderr?.trim().split('\n').pop();
  return (stderr || (error as Error).message || String(error)).slice(0, 500);
}
