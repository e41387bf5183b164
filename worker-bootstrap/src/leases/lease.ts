/** One lease on this machine: starts, adopts, watches, ends and wipes its Ray node. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { NetConnectOpts } from 'node:net';
import { join } from 'node:path';
import type { LeaseObservation, LeaseSpec } from '@iocloud/contracts';
import type { Logger } from '../log.js';
import { type Inside, removeContainer } from '../sandbox/index.js';
import { isApart, type Launch } from './launch.js';
import type { LeaseStore } from './lease-files.js';
import type { LocalPhase } from './plan.js';
import { isAlive, killMarked, type ProcessIdentity, signalProcess } from './processes.js';

/** After a request to end, by when the supervisor is killed. Longer than its own patience with Ray. Milliseconds. */
const killAfterMs = 12_000;
const tailBytes = 2_000;
const maxMessageLength = 4_096;

const metricsPortOption = '--metrics-export-port=';

export class Lease {
  phase: LocalPhase = 'starting';
  message = '';
  rayNodeId: string | null = null;
  launch: Launch | null = null;
  /** What becomes of it when it is over: only then may its data go. */
  wipeWhenOver = false;
  #process: ProcessIdentity | null = null;
  #killAtMs = Number.POSITIVE_INFINITY;
  /** The supervisor is being started: there is no process to look at yet. */
  #launching = false;
  /** An earlier agent has started it. */
  adopted = false;

  constructor(
    readonly spec: LeaseSpec,
    readonly store: LeaseStore,
    readonly log: Logger,
  ) {}

  get id(): string {
    return this.spec.leaseId;
  }

  /** Null while there is none. */
  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  get isStopping(): boolean {
    return this.phase === 'stopping';
  }

  observation(): LeaseObservation {
    const phase = this.phase === 'stopping' ? 'ready' : this.phase;
    return { leaseId: this.spec.leaseId, phase, message: this.message, rayNodeId: this.rayNodeId };
  }

  /** Starts the supervisor. `command` and `launch` are what to run; a fault ends the lease and says why. */
  async start(prepare: () => Promise<{ command: string[]; launch: Launch }>): Promise<void> {
    this.#launching = true;
    try {
      const { command, launch } = await prepare();
      this.launch = launch;
      await this.store.writeLaunch(this.id, launch);
      await this.#spawn(command);
      this.#process = await this.store.process(this.id);
      if (!this.#process) throw new Error(await this.store.tail(this.id, 'supervisor.log', tailBytes));
      // Unwanted again in the meantime.
      if (this.isStopping) await signalProcess(this.#process, 'SIGTERM');
    } catch (error) {
      await this.#over(`could not be started: ${(error as Error).message}`);
    } finally {
      this.#launching = false;
    }
  }

  /** The supervisor detaches itself: it is up when what was spawned here has ended well. */
  async #spawn([program = '', ...args]: string[]): Promise<void> {
    const output = openSync(join(this.store.directory(this.id), 'supervisor.log'), 'a', 0o600);
    try {
      const child = spawn(program, args, { detached: true, stdio: ['ignore', output, output], env: {}, cwd: '/' });
      await once(child, 'exit');
    } finally {
      closeSync(output);
    }
  }

  /** Takes over from an agent that died. */
  async adopt(): Promise<void> {
    this.adopted = true;
    this.launch = await this.store.launch(this.id);
    this.#process = (await this.store.process(this.id)) ?? (await this.store.claimNeverStarted(this.id));
    await this.look(0);
    if (this.phase !== 'exited') this.log.info({ leaseId: this.id, phase: this.phase }, 'a running lease is adopted');
  }

  /** Looks at the process and the supervisor's files. Returns whether anything has changed. */
  async look(nowMs: number): Promise<boolean> {
    if (this.phase === 'exited' || this.#launching) return false;
    const before = `${this.phase} ${this.rayNodeId}`;
    if (!this.#process || !(await isAlive(this.#process))) {
      const exit = await this.store.exit(this.id);
      await this.#over(exit?.message ?? (await this.#suddenEnd()));
    } else if (this.phase === 'starting') {
      const status = await this.store.status(this.id);
      if (status?.ready) {
        this.phase = 'ready';
        this.rayNodeId = status.rayNodeId;
      }
    } else if (this.phase === 'stopping' && nowMs >= this.#killAtMs) {
      this.log.warn({ leaseId: this.id }, 'a Ray node did not end in time and is killed');
      await signalProcess(this.#process, 'SIGKILL');
    }
    return before !== `${this.phase} ${this.rayNodeId}`;
  }

  async #suddenEnd(): Promise<string> {
    if (!this.#process) return 'the agent died before it had started the Ray node';
    const log = await this.store.tail(this.id, 'ray.log', tailBytes);
    return `the supervisor of the Ray node was killed or the machine restarted. ${log}`;
  }

  async #over(message: string): Promise<void> {
    if (!isApart(this.launch)) await killMarked(this.id);
    if (this.launch?.container) await this.#letGoOf(this.launch.container.remove);
    this.phase = 'exited';
    this.message = message.slice(0, maxMessageLength);
    await this.store.writeExit(this.id, this.message);
    this.log.info({ leaseId: this.id, message: this.message }, 'a lease is over');
  }

  /** Its processes have ended with its PID 1, so an engine that cannot remove it now holds up nothing: the next sweep does. */
  async #letGoOf(remove: readonly string[]): Promise<void> {
    await removeContainer(remove).catch((error: unknown) =>
      this.log.warn({ leaseId: this.id, error: String(error) }, 'a container could not be removed'),
    );
  }

  /** Asks the Ray node to end; `look` sees to it that it does. */
  async stop(nowMs: number): Promise<void> {
    if (this.phase === 'stopping' || this.phase === 'exited') return;
    this.phase = 'stopping';
    this.#killAtMs = nowMs + killAfterMs;
    if (this.#process) await signalProcess(this.#process, 'SIGTERM');
  }

  /** By what a renter gets in, or null where it is not up. */
  get entrance(): {
    supervisor: ProcessIdentity;
    env: Record<string, string>;
    sandboxed: boolean;
    container: Inside | null;
  } | null {
    if (this.phase !== 'ready' || !this.launch || !this.#process) return null;
    const { env, container } = this.launch;
    return { supervisor: this.#process, env, sandboxed: isApart(this.launch), container };
  }

  get metricsAddress(): { host: string; port: number } | null {
    if (this.phase !== 'ready' || !this.launch) return null;
    // Also of one that another release of the agent has started.
    const port = this.launch.argv
      .find(argument => argument.startsWith(metricsPortOption))
      ?.slice(metricsPortOption.length);
    return port === undefined ? null : { host: this.launch.nodeIp, port: Number(port) };
  }

  /** Where a port of this head can be reached, or null for a worker or before it is ready. */
  headPort(name: 'dashboard' | 'gcs'): NetConnectOpts | null {
    const address = this.launch?.[name];
    if (this.phase !== 'ready' || !this.launch || !address) return null;
    const path = name === 'dashboard' ? this.launch.dashboardSocket : this.launch.gcsSocket;
    if (path) return { path };
    const [host, port] = address;
    return { host, port };
  }
}
