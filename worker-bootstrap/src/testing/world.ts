/** A machine for tests: the real agent program in a directory of its own, against a small control plane. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type ClusterId, type LeaseId, type LeaseSpec, type NodeId, newId } from '@iocloud/contracts';
import type { AgentConfigInput } from '../config.js';
import { createDeviceKey } from '../device-key.js';
import { TestControlPlane } from './control-plane.js';

const repository = resolve(process.cwd());
export const rayVersion = '2.60.0';
const random = (length: number) => new Uint8Array(randomBytes(length));

/** The virtual environment with Ray that the set-up made. Throws a sentence that says what to do where it is missing. */
export function rayEnvironment(): string {
  const candidates = [
    process.env.IOCLOUD_VENV,
    process.env.IOCLOUD_HOME && join(process.env.IOCLOUD_HOME, 'venv'),
    join(repository, '.iocloud', 'venv'),
  ];
  for (const candidate of candidates) if (candidate && existsSync(join(candidate, 'bin', 'ray'))) return candidate;
  throw new Error('no virtual environment with Ray: run the set-up, or name one in IOCLOUD_VENV');
}

export class World {
  readonly directory = mkdtempSync(join(tmpdir(), 'iocloud-agent-'));
  readonly stateDir = join(this.directory, 'state');
  readonly controlPlane = new TestControlPlane();
  readonly nodeId: NodeId = newId('node', random);
  readonly publicKeyLine: string;
  agent: ChildProcess | undefined;
  output = '';

  constructor() {
    mkdirSync(this.stateDir);
    this.publicKeyLine = createDeviceKey(join(this.directory, 'device-key'));
  }

  config(changes: Partial<AgentConfigInput> = {}): AgentConfigInput {
    const [type, key] = this.controlPlane.hostKey.public.split(' ');
    return {
      controlPlane: { host: '127.0.0.1', port: this.controlPlane.port, hostKey: `${type} ${key}` },
      nodeId: this.nodeId,
      deviceKeyFile: join(this.directory, 'device-key'),
      stateDir: this.stateDir,
      rayEnvironments: { [rayVersion]: rayEnvironment() },
      ...changes,
    };
  }

  startAgent(changes: Partial<AgentConfigInput> = {}, environment: NodeJS.ProcessEnv = {}, flags: string[] = []): void {
    const file = join(this.directory, 'agent.json');
    writeFileSync(file, JSON.stringify(this.config(changes)));
    const program = join(repository, 'worker-bootstrap', 'dist', 'main.js');
    const agent = spawn(process.execPath, [program, '--config', file, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    for (const stream of [agent.stdout, agent.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.agent = agent;
  }

  async killAgent(signal: NodeJS.Signals): Promise<number | null> {
    const agent = this.agent;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return agent?.exitCode ?? null;
    agent.kill(signal);
    const [code] = (await once(agent, 'exit')) as [number | null];
    return code;
  }

  leaseFile<T>(leaseId: string, name: string): T {
    return JSON.parse(readFileSync(join(this.stateDir, 'leases', leaseId, name), 'utf8')) as T;
  }

  async destroy(): Promise<void> {
    await this.killAgent('SIGTERM');
    await this.controlPlane.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function leaseSpecs(workers: number): [LeaseSpec, ...LeaseSpec[]] {
  const clusterId: ClusterId = newId('cluster', random);
  const authToken = randomBytes(32).toString('hex');
  const spec = (ordinal: number): LeaseSpec => ({
    leaseId: newId('lease', random) as LeaseId,
    clusterId,
    role: ordinal === 0 ? 'head' : 'worker',
    group: ordinal === 0 ? 'head' : 'workers',
    ordinal,
    rayVersion,
    authToken,
    nodeIp: `127.0.0.${ordinal + 2}`,
    headIp: '127.0.0.2',
    cpus: 1,
    memoryBytes: 2 ** 30,
    deviceIndices: [],
    resources: {},
    labels: {},
    checkpointDir: null,
    checkpointRoot: null,
    contained: false,
  });
  return [spec(0), ...Array.from({ length: workers }, (_, index) => spec(index + 1))];
}

/** Waits until `condition` gives a value. Throws at the deadline with what it was waiting for. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<NonNullable<T>> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
    const value = await condition();
    if (value) return value;
    await new Promise(wake => setTimeout(wake, 50));
  }
  throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`);
}
