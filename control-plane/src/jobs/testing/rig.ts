/** The gateway as main.ts wires it, on a real PostgreSQL and Redis, as far as jobs need it. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningServer, startPostgres, startRedis } from '@iocloud/cli';
import { newId, type RayJobDetails, type TenantId } from '@iocloud/contracts';
import { authenticator, queueTermsOf } from '../../accounts/index.js';
import { recordEvidence } from '../../inventory/index.js';
import {
  createLogger,
  Database,
  Http,
  migrate,
  Signals,
  Signer,
  type TopicHandler,
  Wakeups,
} from '../../platform/index.js';
import { newTenantKey } from '../../test-ground.js';
import { createJobs, type Jobs, type JobsWiring } from '../index.js';
import { TestClusters, testRayVersion } from './clusters.js';
import { eventually } from './eventually.js';
import { rayBin } from './ray-head.js';

export interface Servers {
  folder: string;
  postgres: RunningServer;
  redis: RunningServer;
  stop(): Promise<void>;
}

export async function startServers(): Promise<Servers> {
  const folder = await mkdtemp(join(tmpdir(), 'ioc-jobs-'));
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  const redis = await startRedis({ dataDir: join(folder, 'redis') });
  return {
    folder,
    postgres,
    redis,
    stop: async () => {
      await redis.stop();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const idle: TopicHandler = { handle: async () => undefined, sweep: async () => [] };

export class Rig {
  address = '';
  readonly clusters = new TestClusters();
  readonly config: JobsWiring['config'];
  readonly log = createLogger(process.env.IOCLOUD_TEST_LOG ?? ('fatal' as 'error'));
  #running: { database: Database; signals: Signals; wakeups: Wakeups; http: Http; jobs: Jobs } | undefined;
  #port = 0;

  constructor(
    readonly servers: Servers,
    config: Partial<JobsWiring['config']> = {},
  ) {
    this.config = {
      dataDir: join(servers.folder, 'data'),
      checkpointRoot: join(servers.folder, 'checkpoints'),
      rayVersion: testRayVersion,
      maxPackageBytes: 5 * 2 ** 20,
      packageTtlSeconds: 3_600,
      maxJobLogBytes: 2 ** 32,
      maxJobsPerCluster: 32,
      maxArraySize: 10_000,
      ...config,
    };
  }

  get database(): Database {
    return this.#of('database');
  }
  get jobs(): Jobs {
    return this.#of('jobs');
  }

  #of<K extends 'database' | 'jobs'>(name: K) {
    if (!this.#running) throw new Error('the rig does not run');
    return this.#running[name];
  }

  /** Starts, or starts again on the same port after `stop`. */
  async start(): Promise<void> {
    const { log } = this;
    const database = new Database(this.servers.postgres.url, log);
    try {
      await migrate(database, new URL('../../../migrations/', import.meta.url), log);
    } catch (error) {
      await database.close();
      throw error;
    }
    const signals = new Signals(this.servers.redis.url, newId('event', randomBytes), log);
    const http = new Http(authenticator(database, new Signer(randomBytes(32))), log);
    const jobs = createJobs({
      config: this.config,
      database,
      signals,
      log,
      clusters: this.clusters,
      reputation: { record: recordEvidence },
      queueTermsOf,
      megaNamed: async () => null,
      random: randomBytes,
      now: Date.now,
    });
    jobs.routes(http);
    const handlers = {
      cluster: idle,
      mega: idle,
      node: idle,
      dispatch: jobs.dispatch,
      attempt: jobs.attempt,
      array: jobs.array,
      billing: idle,
      metering: idle,
    };
    const wakeups = new Wakeups({ database, redisUrl: this.servers.redis.url, log, handlers, sweepIntervalMs: 1_000 });
    await wakeups.start();
    await new Promise<void>(resolve => http.server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (http.server.address() as AddressInfo).port;
    this.address = `http://127.0.0.1:${this.#port}`;
    this.#running = { database, signals, wakeups, http, jobs };
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    const { database, signals, wakeups, http, jobs } = this.#running;
    this.#running = undefined;
    http.server.close();
    await jobs.stop();
    http.server.closeAllConnections();
    await wakeups.stop();
    signals.close();
    await database.close();
  }

  /** A tenant with a key that may do all that an owner may. */
  async tenant(): Promise<{ id: TenantId; key: string }> {
    const { tenantId, apiKey } = await newTenantKey(this.database);
    return { id: tenantId, key: apiKey };
  }

  call(key: string, method: string, path: string, body?: string | Buffer | object): Promise<Response> {
    const raw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body);
    return fetch(this.address + path, {
      method,
      headers: { Authorization: `Bearer ${key}` },
      ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
    });
  }

  async submit(key: string, body: object): Promise<string> {
    const answer = await this.call(key, 'POST', '/api/jobs/', body);
    if (answer.status !== 200) throw new Error(`submission answered ${answer.status}: ${await answer.text()}`);
    return ((await answer.json()) as { submission_id: string }).submission_id;
  }

  async job(key: string, id: string): Promise<RayJobDetails> {
    return (await (await this.call(key, 'GET', `/api/jobs/${encodeURIComponent(id)}`)).json()) as RayJobDetails;
  }

  async logs(key: string, id: string): Promise<string> {
    return ((await (await this.call(key, 'GET', `/api/jobs/${id}/logs`)).json()) as { logs: string }).logs;
  }

  /** The job once it has ended. */
  ended(key: string, id: string, withinMs = 60_000): Promise<RayJobDetails> {
    return eventually(
      async () => {
        const job = await this.job(key, id);
        if (!['SUCCEEDED', 'FAILED', 'STOPPED'].includes(job.status)) {
          throw new Error(`job ${id} is ${job.status}: ${job.message}`);
        }
        return job;
      },
      { withinMs },
    );
  }

  /** Runs `ray job …` as a user would. */
  ray(key: string, args: string[], options: { cwd?: string } = {}): Promise<{ code: number; output: string }> {
    const child = spawn(rayBin('ray'), ['job', ...args], {
      cwd: options.cwd ?? this.servers.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: this.servers.folder,
        RAY_ADDRESS: this.address,
        RAY_AUTH_MODE: 'token',
        RAY_AUTH_TOKEN: key,
      },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    return new Promise(resolve => child.on('close', code => resolve({ code: code ?? -1, output })));
  }
}
