/** A machine beside the stack's own: the real agent program with a state directory and a device key of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { type Process, processesNaming, until } from './processes.js';
import { repository, type Stack } from './stack.js';

export interface MachineOptions {
  cpus?: number;
  simulatedDevices?: { vendor: 'nvidia' | 'amd'; model: string; memoryBytes: number; count: number }[];
}

export class Machine {
  #agent: ChildProcess | undefined;

  private constructor(
    readonly stack: Stack,
    readonly name: string,
    readonly id: string,
    readonly directory: string,
  ) {}

  static async enrol(
    stack: Stack,
    name: string,
    { cpus = 4, simulatedDevices = [] }: MachineOptions,
  ): Promise<Machine> {
    const directory = join(stack.home, 'machines', name);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const key = newSshKeyPair(name);
    writeFileSync(join(directory, 'key'), key.private, { mode: 0o600 });
    const { status, body } = await stack.call('POST', '/v1/nodes', { name, publicKey: key.public });
    if (status !== 201) throw new Error(`enrolment answered ${status}: ${JSON.stringify(body)}`);
    const own = JSON.parse(readFileSync(join(stack.home, 'agent.json'), 'utf8'));
    const config = {
      ...own,
      nodeId: body.id,
      deviceKeyFile: join(directory, 'key'),
      stateDir: join(directory, 'state'),
      cpus,
      simulatedDevices,
    };
    writeFileSync(join(directory, 'agent.json'), JSON.stringify(config));
    return new Machine(stack, name, body.id, directory);
  }

  start(): void {
    const log = openSync(join(this.stack.home, 'logs', `machine-${this.name}.log`), 'a');
    const program = join(repository, 'worker-bootstrap/dist/main.js');
    this.#agent = spawn(process.execPath, [program, '--config', join(this.directory, 'agent.json')], {
      stdio: ['ignore', log, log],
      env: { ...process.env, NODE_OPTIONS: '', PYTHONDONTWRITEBYTECODE: undefined },
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  async show(): Promise<any> {
    return (await this.stack.call('GET', `/v1/nodes/${this.id}`)).body;
  }

  async online(): Promise<void> {
    await until(`${this.name} is online`, 60_000, async () => (await this.show()).state === 'online');
  }

  /** Processes of its Ray nodes, supervisors included. */
  processes(): Process[] {
    return processesNaming(join(this.directory, 'state')).filter(({ pid }) => pid !== this.#agent?.pid);
  }

  signalAgent(signal: NodeJS.Signals): void {
    this.#agent?.kill(signal);
  }

  async killAgent(): Promise<void> {
    if (!this.#agent || this.#agent.exitCode !== null || this.#agent.signalCode !== null) return;
    const gone = once(this.#agent, 'exit');
    this.#agent.kill('SIGKILL');
    await gone;
  }

  /** As when its power fails: agent and Ray nodes are gone at once. */
  async killAll(): Promise<void> {
    await this.killAgent();
    const supervisors = this.processes().filter(({ command }) => command.includes('supervisor.py'));
    for (const { pid } of supervisors) process.kill(pid, 'SIGKILL');
  }

  async stop(): Promise<void> {
    const agent = this.#agent;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    const gone = once(agent, 'exit');
    agent.kill('SIGCONT');
    agent.kill('SIGTERM');
    await gone;
  }
}
