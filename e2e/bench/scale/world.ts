/** What the jobs of the benchmark run on: tenants, pretended machines that they share, and clusters of their own. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeId } from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { type Stack, until } from '../../src/harness/index.js';
import { gibibyte } from './pretended-machine.js';
import type { Orders, Report } from './stand-in.js';

export interface BenchTenant {
  name: string;
  apiKey: string;
}

/** The control plane's own default: IOCLOUD_MAX_JOBS_PER_CLUSTER. */
export const jobsPerCluster = 32;
const clustersPerMachine = 32;
const clientsAtOnce = 8;

/** Runs `work` for 0 to `count` - 1, some at a time. */
export async function each(count: number, atOnce: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const client = async () => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, client));
}

async function created(stack: Stack, path: string, body: unknown, apiKey = stack.apiKey) {
  const answer = await stack.call('POST', path, body, { authorization: `Bearer ${apiKey}` });
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

export class World {
  report: Report = { running: 0, losses: 0 };
  readonly tenants: BenchTenant[] = [];

  private constructor(
    readonly stack: Stack,
    readonly standIn: ChildProcess,
    readonly clusters: number,
  ) {
    standIn.on('message', (report: Report) => {
      this.report = report;
    });
  }

  /** Room for so many jobs, split evenly over the tenants. Resolves when every cluster is ready. */
  static async make(stack: Stack, jobs: number, tenantCount: number, linesPerSecond: number): Promise<World> {
    const clustersEach = Math.ceil(jobs / tenantCount / jobsPerCluster);
    const clusters = clustersEach * tenantCount;
    const machines: Orders['machines'] = [];
    for (let i = 0; i < Math.ceil(clusters / clustersPerMachine); i += 1) {
      const key = newSshKeyPair(`pretended ${i}`);
      const node = await created(stack, '/v1/nodes', { name: `pretended-${i}`, publicKey: key.public, shared: true });
      machines.push({ nodeId: node.id as NodeId, privateKey: key.private });
    }
    // It knows the SSH server's address and key as the real agent beside it does.
    const { controlPlane } = JSON.parse(readFileSync(join(stack.home, 'agent.json'), 'utf8')) as Orders;
    const program = fileURLToPath(new URL('stand-in.js', import.meta.url));
    const standIn = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
    const world = new World(stack, standIn, clusters);
    try {
      const orders: Orders = { controlPlane, machines, linesPerSecond };
      standIn.send(orders);
      await world.#bringUp(machines, clustersEach, tenantCount);
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  async #bringUp(machines: Orders['machines'], clustersEach: number, tenantCount: number): Promise<void> {
    const { stack } = this;
    for (const { nodeId } of machines) {
      await until(`${nodeId} is online`, 60_000, async () => {
        const { body } = await stack.call('GET', `/v1/nodes/${nodeId}`);
        return body.state === 'online';
      });
    }
    for (let i = 0; i < tenantCount; i += 1) {
      const name = `tenant-${i}`;
      const { apiKey } = await created(stack, '/v1/tenants', { name });
      this.tenants.push({ name, apiKey: apiKey.secret });
    }
    const ids: { id: string; apiKey: string }[] = [];
    await each(this.clusters, clientsAtOnce, async index => {
      const tenant = this.tenants[index % tenantCount];
      if (!tenant) throw new Error('there is a tenant for each number');
      // Twice the processors and the memory that its jobs reserve by default.
      const head = { cpus: 2 * jobsPerCluster, memoryBytes: 64 * gibibyte };
      const { id } = await created(stack, '/v1/clusters', { name: `c-${index}`, head }, tenant.apiKey);
      ids.push({ id, apiKey: tenant.apiKey });
    });
    await each(ids.length, clientsAtOnce, async index => {
      const cluster = ids[index];
      await until(`cluster ${index} is ready`, 300_000, async () => {
        const headers = { authorization: `Bearer ${cluster?.apiKey}` };
        const { body } = await stack.call('GET', `/v1/clusters/${cluster?.id}`, undefined, headers);
        return body.phase === 'ready';
      });
    });
    if (clustersEach * tenantCount !== ids.length) throw new Error('a cluster is missing');
  }

  async stop(): Promise<void> {
    if (this.standIn.exitCode !== null || this.standIn.signalCode !== null) return;
    const gone = once(this.standIn, 'exit');
    this.standIn.kill('SIGKILL');
    await gone;
  }
}
