/** Faults on a real system, watched by a real Prometheus with our rules: each fires the alerts of docs/alerts.md, no others, and they clear. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRules, rulesDirectory, shortened } from '@iocloud/dashboards';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import {
  Observer,
  type PretendedGpu,
  pretendGpu,
  processesNaming,
  repository,
  Stack,
  TestChain,
  until,
} from './harness/index.js';

jest.setTimeout(400_000);

const program = process.env.IOCLOUD_TEST_PROMETHEUS;
const withPrometheus = program ? test : test.skip;
if (!program) process.stderr.write('no IOCLOUD_TEST_PROMETHEUS: alerts are NOT tested by faults in this run\n');

const scrapeSeconds = 2;
const shortening = { factor: 30, leastMs: 3 * scrapeSeconds * 1_000, bounds: ['OutboxStuck', 'JobQueueStuck'] };
/** Of one who looks at the queue (jobs/dispatch.ts). */
const schedulerLock = 7_265_010;

const table = [
  ...readFileSync(join(repository, 'docs/alerts.md'), 'utf8').matchAll(/^\| ([\w-]+) \| .+ \| (`.+`) \| (\d+) s \|$/gm),
].map(([, fault = '', alerts = '', seconds]) => ({
  fault,
  alerts: [...alerts.matchAll(/`(\w+)`/g)].map(([, name = '']) => name).sort(),
  withinMs: Number(seconds) * 1_000,
}));

let directory: string;
let chain: TestChain;
let stack: Stack;
let database: pg.Client;
let observer: Observer;
let clusterId: string;
let gpu: PretendedGpu;

beforeAll(async () => {
  if (!program) return;
  directory = mkdtempSync(join(tmpdir(), 'iocloud-e2e-alerts-'));
  mkdirSync(join(directory, 'rules'));
  gpu = pretendGpu(directory);
  for (const name of readdirSync(rulesDirectory).filter(file => file.endsWith('.yaml'))) {
    const text = readFileSync(join(rulesDirectory, name), 'utf8');
    writeFileSync(join(directory, 'rules', name), shortened(text, shortening));
  }
  chain = await TestChain.start(join(directory, 'chain'));
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1', ...chain.env } });
  const [machine] = await Promise.all([
    stack.machine('hot', { cpus: 2, env: { PATH: gpu.PATH } }),
    stack.cluster('watched').then(({ id }) => {
      clusterId = id;
    }),
  ]);
  expect((await machine.show()).inventory.devices).toHaveLength(1);
  database = await connect();
  observer = await Observer.start(stack, { scrapeSeconds, rules: join(directory, 'rules', '*.yaml') });
});
afterAll(async () => {
  if (!program) return;
  await database?.end();
  if (observer) expect(await observer.stop()).toBe(0);
  await stack?.stop();
  await chain?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function connect(): Promise<pg.Client> {
  const [, , , port] = readFileSync(join(stack.home, 'postgres', 'postmaster.pid'), 'utf8').split('\n');
  const url = await stack.databaseUrl();
  expect(url).toContain(`:${port}/`);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

const query = (...asked: Parameters<Observer['query']>) => observer.query(...asked);

const firing = async () =>
  [
    ...new Set(
      (await query('query', { query: 'ALERTS{alertstate="firing"}' })).map(({ metric }) => metric.alertname ?? ''),
    ),
  ].sort();

interface Fault {
  inject(): Promise<void>;
  mend(): Promise<void>;
}

const redisPid = async () => (await stack.part('redis')).pid;
const faults: Record<string, Fault> = {
  'head-killed': {
    inject: async () => {
      const heads = processesNaming(stack.home).filter(({ command }) => command.includes('gcs_server'));
      expect(heads).toHaveLength(1);
      for (const { pid } of heads) process.kill(pid, 'SIGKILL');
    },
    mend: async () => {
      await stack.clusterIn(clusterId, 'ready', 120_000);
    },
  },
  'redis-stopped': {
    inject: async () => {
      process.kill(await redisPid(), 'SIGSTOP');
      await database.query(`INSERT INTO outbox (topic, key) SELECT 'node', id FROM nodes`);
    },
    mend: async () => {
      process.kill(await redisPid(), 'SIGCONT');
    },
  },
  'settlement-mismatch': {
    inject: () => chain.forge(-1_00000000n),
    mend: () => chain.forge(1_00000000n),
  },
  'queue-stuck': {
    inject: async () => {
      await database.query('SELECT pg_advisory_lock($1)', [schedulerLock]);
      await stack.submit('echo placed', { submission_id: 'stuck' });
    },
    mend: async () => {
      await database.query('SELECT pg_advisory_unlock($1)', [schedulerLock]);
      expect((await stack.ended('stuck')).status).toBe('SUCCEEDED');
    },
  },
  'gpu-overheating': {
    inject: async () => gpu.setTemperature(95),
    mend: async () => gpu.setTemperature(60),
  },
};

withPrometheus('the table names faults that are injected here, and alerts that there are', () => {
  expect(table.map(({ fault }) => fault).sort()).toEqual(Object.keys(faults).sort());
  const names = readRules().alerts.map(({ name }) => name);
  expect(table.flatMap(({ alerts }) => alerts).filter(name => !names.includes(name))).toEqual([]);
});

withPrometheus('each fault fires its alerts, no others, and they clear when it is mended', async () => {
  await until('all is scraped', 90_000, async () => {
    const up = await query('query', { query: 'up' });
    const jobs = up.filter(({ value }) => value[1] === '1').map(({ metric }) => metric.job);
    // Each once: what is read twice counts twice.
    expect(jobs.filter(job => job !== 'iocloud-ray').sort()).toEqual(['iocloud', 'iocloud-leases', 'iocloud-nodes']);
    return ['iocloud', 'iocloud-ray'].every(job => jobs.includes(job));
  });
  const startedAt = Date.now() / 1_000;
  const { 'gpu-overheating': overheat, ...others } = faults;
  const expectations = Object.fromEntries(table.map(row => [row.fault, row]));
  // An agent takes a sample each 30 s: that fault goes on beside the others.
  const overheating = provoke('gpu-overheating', overheat as Fault);
  for (const [name, fault] of Object.entries(others)) await provoke(name, fault);
  await overheating;
  await until('all is quiet again', 90_000, async () => (await firing()).length === 0, 500);
  const fired = await query('query_range', {
    query: 'count by (alertname) (ALERTS{alertstate="firing"})',
    start: String(startedAt),
    end: String(Date.now() / 1_000),
    step: String(scrapeSeconds),
  });
  const expected = table.flatMap(({ alerts }) => alerts).sort();
  expect(fired.map(({ metric }) => metric.alertname).sort()).toEqual(expected);

  async function provoke(name: string, { inject, mend }: Fault): Promise<void> {
    const { alerts, withinMs } = expectations[name] as (typeof table)[number];
    expect((await firing()).filter(alert => alerts.includes(alert))).toEqual([]);
    const atMs = Date.now();
    await inject();
    try {
      await until(`${name} fires ${alerts}`, withinMs, async () => {
        const now = await firing();
        return alerts.every(alert => now.includes(alert));
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; firing: ${await firing()}\n${stack.logs()}`);
    } finally {
      await mend();
    }
    const firedMs = Date.now() - atMs;
    await until(`${alerts} clear`, 120_000, async () => !(await firing()).some(alert => alerts.includes(alert)));
    process.stdout.write(
      `${name}: ${alerts} fired and its mending was over after ${firedMs / 1_000} s, clear after ${(Date.now() - atMs) / 1_000} s\n`,
    );
  }
});

withPrometheus('each rule is evaluated without an error', async () => {
  const response = await fetch(`${observer.url}/api/v1/rules`);
  const { data } = (await response.json()) as {
    data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] };
  };
  const rules = data.groups.flatMap(({ rules }) => rules);
  const { alerts, records } = readRules();
  expect(rules).toHaveLength(alerts.length + records.length);
  expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
});

withPrometheus('Ray’s own metrics come along', async () => {
  const up = await query('query', { query: 'max_over_time(up{job="iocloud-ray"}[1h])' });
  const response = await fetch(`${observer.url}/api/v1/targets?state=active`);
  const { data } = (await response.json()) as {
    data: { activeTargets: { scrapePool: string; scrapeUrl: string; lastError: string }[] };
  };
  const said = data.activeTargets.filter(({ scrapePool }) => scrapePool === 'iocloud-ray');
  expect({ up: up.map(({ value }) => value[1]), said }).toMatchObject({ up: expect.arrayContaining(['1']) });
});

withPrometheus('the key is in no argument and not in the configuration that Prometheus shows', async () => {
  const response = await fetch(`${observer.url}/api/v1/status/config`);
  expect(await response.text()).not.toContain(stack.apiKey);
  expect(processesNaming(stack.home).filter(({ command }) => command.includes(stack.apiKey))).toEqual([]);
});

withPrometheus('each statement of the runbooks is one that this database takes', async () => {
  const pages = join(repository, 'docs/runbooks');
  const statements = readdirSync(pages).flatMap(page =>
    [...readFileSync(join(pages, page), 'utf8').matchAll(/^```sql\n(.*?)^```$/gms)].map(([, sql = '']) => ({
      page,
      sql,
    })),
  );
  expect(statements.length).toBeGreaterThan(20);
  for (const { page, sql } of statements) {
    await expect(database.query(`EXPLAIN ${sql}`).then(() => page)).resolves.toBe(page);
  }
});
