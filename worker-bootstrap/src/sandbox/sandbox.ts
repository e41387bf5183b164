/** Chooses how Ray nodes are kept apart from the machine, and makes and removes a cluster's network namespace. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Inventory } from '@iocloud/contracts';
import type { AgentConfig } from '../config.js';
import { detectDevices } from '../inventory/detect-devices.js';
import type { Logger } from '../log.js';
import { Containers } from './containers.js';
import { execCommand } from './engine.js';

const run = promisify(execFile);
type Isolation = Inventory['isolation'];
const pythonDirectory = fileURLToPath(new URL('../../python', import.meta.url));
/** Started without site-packages and user settings: fast, and nothing of the operator's environment leaks in. */
const bareFlags = ['-E', '-s', '-S', '-B'];
const networkFlags = ['-E', '-s', '-B'];

/** A container, as its lease has it on record: the agent that started it may have been another, set up otherwise. */
export interface Inside {
  name: string;
  /** The engine with its options. */
  engine: readonly string[];
  renter: number;
}

export class Sandbox {
  /** Short, because a socket's path may have 107 bytes at most. */
  readonly runtimeDir: string;
  readonly #networksDir: string;
  readonly #pending = new Map<string, Promise<unknown>>();
  /** Null where leases run as plain processes. */
  containers: Containers | null = null;

  private constructor(
    public isolation: Isolation,
    /** Why it isolates no better, or what is missing inside; empty when nothing is. */
    public reason: string,
    readonly python: string,
    readonly stateDir: string,
    readonly allowedNetworks: readonly string[],
  ) {
    this.runtimeDir = runtimeDirectory(isolation, stateDir);
    this.#networksDir = join(this.runtimeDir, 'net');
  }

  /** Tries what the machine allows by doing it. Throws when the configuration demands more than can be had. */
  static async choose(config: AgentConfig, log: Logger): Promise<Sandbox> {
    const [environment] = Object.values(config.rayEnvironments);
    if (!environment) throw new Error('rayEnvironments is empty: name at least one Ray release and its environment');
    const python = join(environment, 'bin', 'python');
    const made = (isolation: Isolation, reason: string) =>
      new Sandbox(isolation, reason, python, config.stateDir, config.allowedNetworks);
    const demanded = config.isolation === 'namespace' || config.isolation === 'container';
    const obstacle =
      config.isolation === 'token-only' ? 'token-only isolation is configured' : namespaceObstacle(environment);
    if (obstacle === '') {
      const sandbox = made('namespace', '');
      try {
        await sandbox.#prepare();
        await sandbox.#trial(config, log);
        return sandbox;
      } catch (error) {
        if (demanded) throw error;
        log.warn({ error: String(error) }, 'no namespaces on this machine');
        return Sandbox.#tokenOnly(made('token-only', `namespaces cannot be made: ${firstLineOf(error)}`));
      }
    }
    if (demanded) throw new Error(`isolation "${config.isolation}" is configured, but ${obstacle}`);
    return Sandbox.#tokenOnly(made('token-only', obstacle));
  }

  static async #tokenOnly(sandbox: Sandbox): Promise<Sandbox> {
    await sandbox.#prepare();
    return sandbox;
  }

  async #prepare(): Promise<void> {
    await mkdir(this.runtimeDir, { recursive: true, mode: 0o700 });
    await chmod(this.runtimeDir, 0o700);
  }

  /** Makes a namespace as a cluster's, outbound network and all, runs a container there if wished, and takes all away. */
  async #trial(config: AgentConfig, log: Logger): Promise<void> {
    const name = networkName(this.stateDir, 'trial');
    try {
      const { outbound, reason } = await this.#network('up', name);
      if (!outbound) this.reason = reason;
      if (config.container && config.isolation !== 'namespace') await this.#tryContainers(config, name, log);
    } finally {
      await this.#network('down', name);
    }
  }

  async #tryContainers(config: AgentConfig, network: string, log: Logger): Promise<void> {
    if (!config.container) return;
    const around = {
      owner: hash(this.stateDir, 8),
      environments: Object.values(config.rayEnvironments),
      pythonDirectory,
      network: join(this.#networksDir, network),
      stateDir: this.stateDir,
      devices: (await detectDevices(log)).devices,
    };
    try {
      this.containers = await Containers.choose(config.container, around, log);
      this.isolation = 'container';
    } catch (error) {
      if (config.isolation === 'container') throw error;
      log.warn({ error: String(error) }, 'no containers on this machine');
      this.reason = [`no containers: ${firstLineOf(error)}`, this.reason].filter(Boolean).join('; ');
    }
  }

  /** Whether each cluster has a network of its own. */
  get hasNetworks(): boolean {
    return this.isolation !== 'token-only';
  }

  /** Makes the cluster's network namespace unless it is there, and returns the file that it is bound to. */
  async openNetwork(clusterId: string): Promise<string> {
    const name = networkName(this.stateDir, clusterId);
    const { outbound, reason } = await this.#inTurn(name, () => this.#network('up', name));
    if (!outbound) this.reason = reason;
    return join(this.#networksDir, name);
  }

  /** Takes away what `openNetwork` made. No error if there is nothing. */
  async closeNetwork(clusterId: string): Promise<void> {
    if (!this.hasNetworks) return;
    const name = networkName(this.stateDir, clusterId);
    if (existsSync(join(this.#networksDir, name))) await this.#inTurn(name, () => this.#network('down', name));
  }

  /** Removes the namespaces that an agent of this state directory left behind and none of these clusters uses. */
  async sweep(clusterIds: readonly string[]): Promise<void> {
    if (!this.hasNetworks) return;
    const used = new Set(clusterIds.map(id => networkName(this.stateDir, id)));
    const { stdout } = await run(this.python, [
      ...networkFlags,
      join(pythonDirectory, 'network.py'),
      'list',
      this.#networksDir,
    ]);
    const names = new Set((JSON.parse(stdout) as string[]).map(file => file.replace(/\.json$/, '')));
    for (const name of names) if (!used.has(name)) await this.#network('down', name);
  }

  /** Removes the runtime directory when nothing runs any more. */
  async removeRuntime(): Promise<void> {
    await rm(this.runtimeDir, { recursive: true, force: true });
  }

  supervisorCommand(leaseDir: string): string[] {
    return [this.python, ...bareFlags, join(pythonDirectory, 'supervisor.py'), leaseDir];
  }

  /** Has the engine start the lease's container, in which its supervisor runs. */
  containerCommand(leaseDir: string): string[] {
    return [this.python, ...bareFlags, join(pythonDirectory, 'container.py'), leaseDir];
  }

  /** Runs one of the programs that enter a running lease, or that run in its container. */
  toolCommand(script: 'shell.py' | 'dial.py', container: Inside | null): string[] {
    const command = [this.python, ...bareFlags, join(pythonDirectory, script)];
    if (container === null) return command;
    // A dialer binds its socket where renters do not come, and then becomes the renter.
    return execCommand(container.engine, container.name, script === 'dial.py' ? 0 : container.renter, command);
  }

  socketPath(leaseId: string): string {
    return join(this.runtimeDir, `${leaseId}.sock`);
  }

  /** Of the sockets that a container's supervisor makes: seen there, and closed to renters. */
  socketDirectory(leaseId: string): string {
    return join(this.runtimeDir, leaseId);
  }

  async #network(command: 'up' | 'down', name: string): Promise<{ outbound: boolean; reason: string }> {
    const script = join(pythonDirectory, 'network.py');
    const allowed = command === 'up' ? this.allowedNetworks : [];
    const { stdout } = await run(this.python, [...networkFlags, script, command, name, this.#networksDir, ...allowed]);
    return command === 'up' ? JSON.parse(stdout) : { outbound: false, reason: '' };
  }

  /** Two changes of one namespace at a time would undo each other. */
  #inTurn<T>(name: string, change: () => Promise<T>): Promise<T> {
    const turn = (this.#pending.get(name) ?? Promise.resolve()).then(change, change);
    this.#pending.set(name, turn);
    return turn;
  }
}

export function runtimeDirectory(isolation: Isolation, stateDir: string): string {
  // Not the user's own temporary directory, whose path is long on macOS.
  return join(isolation === 'token-only' ? '/tmp' : '/run', `iocloud-${hash(stateDir, 8)}`);
}

/**
 * Of a cluster's namespace, of the veth end on the host (15 characters at most) and of the tables of rules. Two agents'
 * names never meet.
 */
export function networkName(stateDir: string, clusterId: string): string {
  return `ioc${hash(`${stateDir} ${clusterId}`, 10)}`;
}

function namespaceObstacle(environment: string): string {
  if (process.platform !== 'linux') return `namespaces need Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'namespaces need root, and the agent runs as another user';
  return existsSync(join(environment, 'bin', 'python')) ? '' : `${environment} holds no bin/python`;
}

function hash(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}

function firstLineOf(error: unknown): string {
  const stderr = (error as { stderr?: string }).stderr?.trim().split('\n').pop();
  return stderr || String(error);
}
