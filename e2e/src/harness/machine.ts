/** A machine beside the stack's own: the real agent program with a state directory and a device key of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { type MachineLink, MachineNetwork } from './network.js';
import { type Process, processesNaming, until } from './processes.js';
import { repository, type Stack } from './stack.js';

export interface MachineOptions {
  cpus?: number;
  simulatedDevices?: { vendor: 'nvidia' | 'amd'; model: string; memoryBytes: number; count: number }[];
  /** Offered to other tenants, and so verified. */
  shared?: boolean;
  /** Ray release → environment, instead of the stack's own. */
  rayEnvironments?: Record<string, string>;
  /** Leases run in containers on this image; without it a shared machine's owner allows plain processes. */
  container?: { image: string; diskBytes: number };
  /** In a network of its own, whose link can be cut; the stack's SSH server must listen on all addresses. */
  ownNetwork?: boolean;
  /** In this network. */
  network?: MachineLink;
  /** Key of the tenant whose machine it is, instead of the stack's own. */
  ownerKey?: string;
  /** Of its agent, beside the test's own: a PATH with tools of its own, say. */
  env?: Record<string, string>;
}

export class Machine {
  #agent: ChildProcess | undefined;

  private constructor(
    readonly stack: Stack,
    readonly name: string,
    readonly id: string,
    readonly directory: string,
    readonly network: MachineLink | null,
    readonly ownerKey: string,
    readonly env: Record<string, string>,
  ) {}

  static async enrol(
    stack: Stack,
    name: string,
    {
      cpus = 4,
      simulatedDevices = [],
      shared = false,
      rayEnvironments,
      container,
      ownNetwork = false,
      network: given,
      ownerKey = stack.apiKey,
      env = {},
    }: MachineOptions,
  ): Promise<Machine> {
    const directory = join(stack.home, 'machines', name);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const key = newSshKeyPair(name);
    writeFileSync(join(directory, 'key'), key.private, { mode: 0o600 });
    const asOwner = { authorization: `Bearer ${ownerKey}` };
    const { status, body } = await stack.call('POST', '/v1/nodes', { name, publicKey: key.public, shared }, asOwner);
    if (status !== 201) throw new Error(`enrolment answered ${status}: ${JSON.stringify(body)}`);
    if (shared && container === undefined) {
      // Others' work as plain processes: that its owner has to say.
      const said = await stack.call('PATCH', `/v1/nodes/${body.id}/terms`, { plainProcesses: true }, asOwner);
      if (said.status !== 200) throw new Error(`terms answered ${said.status}: ${JSON.stringify(said.body)}`);
    }
    const own = JSON.parse(readFileSync(join(stack.home, 'agent.json'), 'utf8'));
    const network = given ?? (ownNetwork ? await MachineNetwork.up(directory) : null);
    const host = network?.hostAddress ?? own.controlPlane.host;
    const config = {
      ...own,
      controlPlane: { ...own.controlPlane, host },
      nodeId: body.id,
      deviceKeyFile: join(directory, 'key'),
      stateDir: join(directory, 'state'),
      cpus,
      simulatedDevices,
      ...(rayEnvironments ? { rayEnvironments } : {}),
      ...(container ? { isolation: 'container', container } : {}),
    };
    writeFileSync(join(directory, 'agent.json'), JSON.stringify(config));
    return new Machine(stack, name, body.id, directory, network, ownerKey, env);
  }

  start(): void {
    const log = openSync(join(this.stack.home, 'logs', `machine-${this.name}.log`), 'a');
    const args = [join(repository, 'worker-bootstrap/dist/main.js'), '--config', join(this.directory, 'agent.json')];
    const [program, all] = this.network?.command(process.execPath, args) ?? [process.execPath, args];
    this.#agent = spawn(program, all, {
      stdio: ['ignore', log, log],
      env: { ...process.env, NODE_OPTIONS: '', PYTHONDONTWRITEBYTECODE: undefined, ...this.env },
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  async show(): Promise<any> {
    const asOwner = { authorization: `Bearer ${this.ownerKey}` };
    return (await this.stack.call('GET', `/v1/nodes/${this.id}`, undefined, asOwner)).body;
  }

  async online(): Promise<void> {
    await until(`${this.name} is online`, 150_000, async () => (await this.show()).state === 'online');
  }

  /** Processes of its Ray nodes, supervisors included. */
  processes(): Process[] {
    return processesNaming(join(this.directory, 'state')).filter(({ pid }) => pid !== this.#agent?.pid);
  }

  signalAgent(signal: NodeJS.Signals): void {
    this.#agent?.kill(signal);
  }

  get agentLives(): boolean {
    return this.#agent !== undefined && this.#agent.exitCode === null && this.#agent.signalCode === null;
  }

  async killAgent(): Promise<void> {
    if (!this.#agent || !this.agentLives) return;
    const gone = once(this.#agent, 'exit');
    this.#agent.kill('SIGKILL');
    await gone;
  }

  /** As when its power fails: agent, Ray nodes and networks are gone at once. */
  async killAll(): Promise<void> {
    await this.killAgent();
    const roots = this.processes().filter(({ command }) => /supervisor\.py|wireguard-go/.test(command));
    for (const { pid } of roots) process.kill(pid, 'SIGKILL');
  }

  async stop(): Promise<void> {
    const agent = this.#agent;
    if (agent && this.agentLives) {
      const gone = once(agent, 'exit');
      agent.kill('SIGCONT');
      agent.kill('SIGTERM');
      await gone;
    }
    await this.network?.remove();
  }
}
