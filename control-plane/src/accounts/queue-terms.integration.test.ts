import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ClusterId, newId, type QueueTerms, type TenantId, type TenantQueue } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { queueUseOf } from '../jobs/index.js';
import { TestClusters } from '../jobs/testing/clusters.js';
import { Database, Http, migrate, Signer } from '../platform/index.js';
import { callWith, type Ground, newTenantKey, startGround, type TestKey } from '../test-ground.js';
import { accountRoutes, authenticator, defaultTermsOf, queueTermsOf, queueTermsRoutes } from './index.js';

jest.setTimeout(60_000);

const GiB = 2 ** 30;
const defaults: QueueTerms = { weight: 1, quota: null, cohort: null, borrowingLimit: {} };
const terms: QueueTerms = {
  weight: 2.5,
  quota: { gpus: 8.3, cpus: 64, memoryBytes: 512 * GiB },
  cohort: 'research',
  borrowingLimit: { gpus: 4 },
};

let ground: Ground;
let http: Http;
let base: string;
let operator: TestKey;
let owner: TestKey;
let other: TestKey;

beforeAll(async () => {
  ground = await startGround();
  const { database, log } = ground;
  http = new Http(authenticator(database, new Signer('a secret of this test')), log);
  accountRoutes(http, database, randomBytes);
  queueTermsRoutes(http, database, queueUseOf);
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
  operator = await newTenantKey(database, { role: 'operator' });
});
beforeEach(async () => {
  owner = await newTenantKey(ground.database);
  other = await newTenantKey(ground.database);
});
afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await ground?.stop();
});

const call = (key: TestKey, method: string, path: string, body?: unknown) => callWith(key, method, base + path, body);
const termsPath = (tenantId: TenantId) => `/v1/tenants/${tenantId}/queue-terms`;
const put = (key: TestKey, tenantId: TenantId, body: unknown) => call(key, 'PUT', termsPath(tenantId), body);
const own = async (key: TestKey): Promise<TenantQueue> => (await call(key, 'GET', '/v1/queue-terms')).body;
const historyOf = async (tenantId: TenantId, subject: TenantId) =>
  (
    await ground.database.query<{ reason: string; message: string }>(
      'SELECT reason, message FROM events WHERE tenant_id = $1 AND subject = $2 ORDER BY sequence',
      [tenantId, subject],
    )
  ).rows;
const wakes = async () =>
  (await ground.database.query(`SELECT 1 FROM outbox WHERE topic = 'dispatch' AND key = 'all'`)).rowCount ?? 0;

describe('the terms of a tenant', () => {
  test('are the defaults until an operator sets others, and again when they are set back', async () => {
    expect((await call(operator, 'GET', termsPath(owner.tenantId))).body).toEqual(defaults);
    expect((await put(operator, owner.tenantId, terms)).body).toEqual(terms);
    expect((await call(operator, 'GET', termsPath(owner.tenantId))).body).toEqual(terms);
    expect((await own(owner)).terms).toEqual(terms);
    expect((await own(other)).terms).toEqual(defaults);
    expect((await put(operator, owner.tenantId, {})).body).toEqual(defaults);
    expect((await own(owner)).terms).toEqual(defaults);
  });

  test('are set as a whole: what is left out gets its default', async () => {
    await put(operator, owner.tenantId, terms);
    expect((await put(operator, owner.tenantId, { weight: 3 })).body).toEqual({ ...defaults, weight: 3 });
  });

  test('come to the queue in its own units, and only those that are not the defaults', async () => {
    await put(operator, owner.tenantId, terms);
    await put(operator, other.tenantId, { weight: 7 });
    await put(operator, other.tenantId, defaults);
    const all = await queueTermsOf(ground.database);
    expect(all.filter(({ tenantId }) => tenantId === owner.tenantId)).toEqual([
      {
        tenantId: owner.tenantId,
        weight: 2.5,
        quota: { 'gpu-thousandths': 8_300, 'cpu-thousandths': 64_000, 'memory-bytes': 512 * GiB },
        cohort: 'research',
        borrowingLimit: { 'gpu-thousandths': 4_000 },
      },
    ]);
    expect(all.filter(({ tenantId }) => tenantId === other.tenantId)).toEqual([]);
    expect(defaultTermsOf(other.tenantId)).toMatchObject({ ...defaults, tenantId: other.tenantId });
  });

  test('that are set again change nothing: no second event, no second look at the queue', async () => {
    const before = await wakes();
    const first = await put(operator, owner.tenantId, terms);
    const second = await put(operator, owner.tenantId, { ...terms });
    expect(second).toEqual(first);
    expect(await wakes()).toBe(before + 1);
    expect(await historyOf(owner.tenantId, owner.tenantId)).toHaveLength(1);
  });

  test('that change are in the history of both sides, with who did it, the new and the old', async () => {
    await put(operator, owner.tenantId, { weight: 2 });
    await put(operator, owner.tenantId, terms);
    for (const reader of [owner, operator]) {
      const [, last] = await historyOf(reader.tenantId, owner.tenantId);
      expect(last?.reason).toBe('QueueTermsChanged');
      expect(last?.message).toContain(operator.userId);
      expect(last?.message).toContain('weight 2.5, quota 8.3 gpus and 64 cpus');
      expect(last?.message).toContain('cohort research, borrows at most 4 gpus; before: weight 2, no quota');
    }
    expect(await historyOf(other.tenantId, owner.tenantId)).toEqual([]);
  });

  test('hold one of the two when they are set twice at a time, and the history tells of both', async () => {
    const weights = Array.from({ length: 8 }, (_, index) => index + 2);
    const answers = await Promise.all(weights.map(weight => put(operator, owner.tenantId, { weight })));
    expect(answers.map(({ body }) => body.weight)).toEqual(weights);
    const history = await historyOf(owner.tenantId, owner.tenantId);
    expect(history).toHaveLength(weights.length);
    const told = history.map(({ message }) => /weight (\d+).*before: weight (\d+)/.exec(message)?.slice(1).map(Number));
    // Each begins with what the one before it left.
    for (const [index, pair] of told.entries()) expect(pair?.[1]).toBe(index === 0 ? 1 : told[index - 1]?.[0]);
    expect((await own(owner)).terms.weight).toBe(told.at(-1)?.[0]);
  });
});

describe('what is not allowed', () => {
  test.each(['owner', 'member', 'viewer'] as const)('the role %s sets no terms, not even its own', async role => {
    const key = await newTenantKey(ground.database, { role });
    for (const tenantId of [key.tenantId, other.tenantId]) {
      expect(await put(key, tenantId, terms)).toMatchObject({
        status: 403,
        body: { detail: expect.stringContaining('tenants:write') },
      });
      expect((await call(key, 'GET', termsPath(tenantId))).status).toBe(403);
    }
    expect((await call(key, 'GET', '/v1/tenants')).status).toBe(403);
    expect((await own(key)).terms).toEqual(defaults);
    expect((await own(other)).terms).toEqual(defaults);
  });

  test('a key of an operator that may only read sees terms and sets none', async () => {
    const reader = await newTenantKey(ground.database, { role: 'operator', scopes: ['tenants:read'] });
    expect((await call(reader, 'GET', termsPath(owner.tenantId))).status).toBe(200);
    expect((await put(reader, owner.tenantId, terms)).status).toBe(403);
  });

  test('a key without jobs:read sees not even its own', async () => {
    const narrow = await newTenantKey(ground.database, { scopes: ['clusters:read'] });
    expect((await call(narrow, 'GET', '/v1/queue-terms')).status).toBe(403);
  });

  test('a tenant that does not exist has no terms', async () => {
    const nobody = newId('tenant', randomBytes);
    expect((await call(operator, 'GET', termsPath(nobody))).status).toBe(404);
    expect((await put(operator, nobody, terms)).status).toBe(404);
    expect((await put(operator, 'tn_x' as TenantId, terms)).status).toBe(400);
  });

  test.each([
    ['a limit on borrowing of nobody', { quota: { gpus: 8 }, borrowingLimit: { gpus: 4 } }, 'nobody to borrow from'],
    ['a weight of nothing', { weight: 0 }, 'body.weight'],
    ['an unknown resource', { quota: { gpus: 1, tpus: 8 } }, 'tpus'],
    ['a cohort without a quota', { cohort: 'research' }, 'a cohort shares quotas'],
  ])('%s is refused and leaves the terms as they were', async (_name, body, words) => {
    await put(operator, owner.tenantId, terms);
    const answer = await put(operator, owner.tenantId, body);
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toContain(words);
    expect((await own(owner)).terms).toEqual(terms);
  });
});

test('an operator lists all tenants, page after page', async () => {
  const seen: string[] = [];
  let after = '';
  do {
    const { body } = await call(operator, 'GET', `/v1/tenants?limit=2${after && `&after=${after}`}`);
    seen.push(...body.items.map(({ id }: { id: string }) => id));
    after = body.next ?? '';
  } while (after !== '');
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen).toEqual(expect.arrayContaining([operator.tenantId, owner.tenantId, other.tenantId]));
});

describe('what a tenant uses', () => {
  const head = { host: '127.0.0.1', port: 9, token: '', agent: undefined, jobLog: undefined } as never;

  async function job(tenantId: TenantId, phase: string): Promise<string> {
    const id = newId('job', randomBytes);
    await ground.database.query(
      `INSERT INTO jobs (id, tenant_id, submission_id, submission, needs, scheduling, phase, message, max_attempts,
         ray_view, submitted_at, queue_at, ended_at)
       VALUES ($1, $2, $1, '{}', '{}', '{"priority":"normal"}', $3, '', 3, '{}', now(), now(),
         CASE WHEN $3 = 'succeeded' THEN now() END)`,
      [id, tenantId, phase],
    );
    return id;
  }

  async function attempt(tenantId: TenantId, clusterId: ClusterId, live: boolean, reserved: object): Promise<void> {
    const jobId = await job(tenantId, live ? 'running' : 'succeeded');
    await ground.database.query(
      `INSERT INTO job_attempts (id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, outcome,
         ended_at, log_complete, reserved)
       SELECT $1, $2, 1, $3, l.id, $1, $4, $5, CASE WHEN $5::text IS NOT NULL THEN now() END, true, $6
       FROM leases l WHERE l.cluster_id = $3`,
      [
        newId('attempt', randomBytes),
        jobId,
        clusterId,
        live ? 'running' : 'ended',
        live ? null : 'succeeded',
        JSON.stringify(reserved),
      ],
    );
  }

  test('is what its live attempts hold and how many of its jobs wait, and nothing of another tenant', async () => {
    const clusters = new TestClusters();
    const { database } = ground;
    const clusterId = await clusters.add(database, owner.tenantId, 'warm', head);
    const theirs = await clusters.add(database, other.tenantId, 'theirs', head);
    const reserved = { cpus: 0.5, gpus: 0.1, memoryBytes: GiB, resources: {} };
    for (let count = 0; count < 3; count += 1) await attempt(owner.tenantId, clusterId, true, reserved);
    await attempt(owner.tenantId, clusterId, false, { ...reserved, gpus: 8 });
    await attempt(other.tenantId, theirs, true, { ...reserved, gpus: 2 });
    for (let count = 0; count < 2; count += 1) await job(owner.tenantId, 'queued');
    await job(other.tenantId, 'queued');

    expect(await own(owner)).toEqual({
      tenantId: owner.tenantId,
      terms: defaults,
      held: { gpus: 0.3, cpus: 1.5, memoryBytes: 3 * GiB },
      running: 3,
      waiting: 2,
    });
    expect(await own(operator)).toMatchObject({ held: { gpus: 0, cpus: 0, memoryBytes: 0 }, running: 0, waiting: 0 });
  });
});

test('an operator whose key is older than the terms may use them after the upgrade; nobody else gains', async () => {
  const { database, log, postgres } = ground;
  const directory = await mkdtemp(join(tmpdir(), 'iocloud-migrations-'));
  const all = resolve('control-plane/migrations');
  await database.query('CREATE DATABASE before_terms');
  const url = new URL(postgres.url);
  url.pathname = '/before_terms';
  const older = new Database(url.href, log);
  try {
    const before = (await readdir(all)).filter(name => name < '0010');
    for (const name of before) await cp(join(all, name), join(directory, name));
    await migrate(older, pathToFileURL(`${directory}/`), log);
    await newTenantKey(older, { role: 'operator', scopes: ['jobs:read', 'tenants:write'] });
    await newTenantKey(older, { scopes: ['jobs:read'] });
    await migrate(older, pathToFileURL(`${all}/`), log);
    const { rows } = await older.query<{ scopes: string[] }>(
      'SELECT scopes FROM api_keys ORDER BY cardinality(scopes)',
    );
    expect(rows.map(({ scopes }) => scopes)).toEqual([
      ['jobs:read'],
      ['jobs:read', 'tenants:write', 'tenants:read', 'ledger:read', 'ledger:write'],
    ]);
    expect(await queueTermsOf(older)).toEqual([]);
  } finally {
    await older.close();
    await rm(directory, { recursive: true, force: true });
  }
});
