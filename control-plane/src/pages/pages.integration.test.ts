import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { Cluster, ClusterId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { accountRoutes, authenticator } from '../accounts/index.js';
import { Http, Signer } from '../platform/index.js';
import { type Ground, newTenantKey, startGround, type TestKey } from '../test-ground.js';
import { pageRoutes } from './index.js';

let ground: Ground;
let base: string;
let http: Http;
let key: TestKey;
let now = Date.now();
const signer = new Signer('a secret of this test', () => now);
const clusters = new Map<TenantId, Cluster[]>();
let redisAnswers = true;

beforeAll(async () => {
  ground = await startGround();
  const { database, log } = ground;
  key = await newTenantKey(database);
  http = new Http(authenticator(database, signer), log);
  accountRoutes(http, database, randomBytes);
  pageRoutes(http, {
    config: { publicUrl: undefined, rayVersion: '2.60.0' },
    signer,
    database,
    state: { refresh: async () => undefined },
    version: '9.9.9',
    clustersOf: async tenantId => clusters.get(tenantId) ?? [],
    healthy: {
      database: async () => (await database.query('SELECT 1')).rowCount === 1,
      redis: async () => redisAnswers,
    },
  });
  await new Promise<void>(resolve => http.server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await ground?.stop();
});

const get = (path: string, headers: Record<string, string> = {}) => fetch(base + path, { headers, redirect: 'manual' });
const login = (form: Record<string, string>, headers: Record<string, string> = {}) =>
  fetch(`${base}/login`, { method: 'POST', body: new URLSearchParams(form), headers, redirect: 'manual' });
const cookieOf = (response: Response) => (response.headers.get('set-cookie') ?? '').split(';')[0] ?? '';

function clusterNamed(name: string): Cluster {
  return {
    id: 'cl_00000000000000000001' as ClusterId,
    spec: {
      name,
      type: 'ray',
      rayVersion: '2.60.0',
      head: { cpus: 1, gpus: 0, resources: {}, labels: {} },
      workerGroups: [],
      waitForMachines: false,
      budgetMicroUsd: null,
      until: null,
      priority: 'normal',
      preemptible: false,
      idleTimeoutSeconds: null,
    },
    microUsdPerHour: 0,
    spentMicroUsd: 0,
    endsAt: null,
    origin: 'user',
    desired: 'running',
    phase: 'ready',
    load: null,
    generation: 1,
    observedGeneration: 1,
    conditions: [
      {
        type: 'HeadReady',
        status: 'False',
        reason: 'Broken',
        message: '<script>alert(1)</script>',
        lastTransitionTime: '2026-01-01T00:00:00.000Z',
        observedGeneration: 1,
      },
    ],
    leases: [],
    network: null,
    dashboardPath: '/clusters/cl_00000000000000000001/dashboard/',
    createdAt: '2026-01-01T00:00:00.000Z',
    readyAt: null,
    idleSince: null,
  };
}

describe('the first page', () => {
  test('shows the command for the very address that it was asked at', async () => {
    const text = await (await get('/')).text();
    expect(text).toContain(`ray job submit --address ${base} --working-dir . -- python main.py`);
  });

  test('a forged Host header cannot put markup into it', async () => {
    const text = await (await get('/', { Host: '"><script>' })).text().catch(() => '');
    expect(text).not.toContain('<script>');
  });

  test.each(['/', '/clusters/', '/docs/'])('%s allows no script from elsewhere and no inline script', async path => {
    const response = await get(path);
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await response.text()).not.toMatch(
      /<script(?![^>]*\ssrc="\/docs\/)|\son\w+=|style="|https?:\/\/(?!127\.0\.0\.1)/,
    );
  });
});

describe('the login', () => {
  test('turns a key into a session that shows the clusters of its own tenant', async () => {
    const other = await newTenantKey(ground.database);
    clusters.set(key.tenantId, [clusterNamed('mine')]);
    clusters.set(other.tenantId, [clusterNamed('theirs')]);
    const response = await login({ key: key.apiKey }, { Origin: base });
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).toBe('/clusters/');
    expect(response.headers.get('set-cookie')).toMatch(/; Path=\/clusters; Max-Age=43200; HttpOnly; SameSite=Lax$/);
    expect(response.headers.get('set-cookie')).not.toContain(key.apiKey);
    const page = await (await get('/clusters/', { Cookie: cookieOf(response) })).text();
    expect(page).toContain('mine');
    expect(page).not.toContain('theirs');
    expect(page).toContain('href="/clusters/cl_00000000000000000001/dashboard/"');
    expect(page).toContain('iocloud cluster show mine');
    expect(page).not.toContain('<script>alert');
  });

  test('the session opens the pages alone, not the API', async () => {
    const cookie = cookieOf(await login({ key: key.apiKey }));
    expect((await get('/v1/whoami', { Cookie: cookie })).status).toBe(401);
  });

  test('follows a path under /clusters/ and none elsewhere', async () => {
    const to = async (next: string) => (await login({ key: key.apiKey, next })).headers.get('location');
    expect(await to('/clusters/cl_1/dashboard/')).toBe('/clusters/cl_1/dashboard/');
    expect(await to('https://evil.example/')).toBe('/clusters/');
  });

  test('a wrong key gets the form again, without the key in it', async () => {
    const wrong = `${key.apiKey.slice(0, -1)}${key.apiKey.endsWith('A') ? 'B' : 'A'}`;
    const response = await login({ key: wrong, next: '/clusters/x/' });
    expect(response.status).toBe(401);
    expect(response.headers.get('set-cookie')).toBeNull();
    const page = await response.text();
    expect(page).toContain('role="alert"');
    expect(page).toContain('value="/clusters/x/"');
    expect(page).not.toContain(wrong);
  });

  test('a form that another site sends is refused', async () => {
    const response = await login({ key: key.apiKey }, { Origin: 'https://evil.example' });
    expect(response.status).toBe(403);
    expect(response.headers.get('set-cookie')).toBeNull();
  });

  test('a form that never ends is refused at 8 KiB', async () => {
    expect((await login({ key: 'x'.repeat(10_000) })).status).toBe(413);
  });

  test('ends with its key, with its time, and with a logout', async () => {
    const doomed = await newTenantKey(ground.database);
    const cookie = cookieOf(await login({ key: doomed.apiKey }));
    expect((await get('/clusters/', { Cookie: cookie })).status).toBe(200);
    await ground.database.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [doomed.keyId]);
    expect((await get('/clusters/', { Cookie: cookie })).status).toBe(401);

    const lasting = cookieOf(await login({ key: key.apiKey }));
    const before = now;
    now += 13 * 3_600_000;
    expect((await get('/clusters/', { Cookie: lasting })).status).toBe(401);
    now = before;

    const out = await login({ logout: '1' });
    expect(out.headers.get('set-cookie')).toContain('iocloud_session=; Path=/clusters; Max-Age=0');
  });

  test('without one the clusters page asks for it', async () => {
    const response = await get('/clusters/');
    expect(response.status).toBe(401);
    expect(await response.text()).toContain('<form method="post" action="/login">');
  });

  test('a key that may not read clusters sees none', async () => {
    const narrow = await newTenantKey(ground.database, { scopes: ['jobs:read'] });
    clusters.set(narrow.tenantId, [clusterNamed('not-for-them')]);
    const response = await get('/clusters/', { Cookie: cookieOf(await login({ key: narrow.apiKey })) });
    expect(response.status).toBe(403);
    expect(await response.text()).not.toContain('not-for-them');
  });

  test('a tenant without clusters is taught how to make one', async () => {
    const fresh = await newTenantKey(ground.database);
    const page = await get('/clusters/', { Cookie: cookieOf(await login({ key: fresh.apiKey })) });
    expect(await page.text()).toContain('iocloud cluster create');
  });
});

describe('the rest', () => {
  test.each(['swagger-ui.css', 'swagger-ui-bundle.js', 'start.js', 'favicon-32x32.png'])(
    '/docs/%s is served from here',
    async name => {
      const response = await get(`/docs/${name}`);
      expect(response.status).toBe(200);
      expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(100);
    },
  );

  test.each(['package.json', '../package.json', '..%2fpackage.json', '__proto__'])('/docs/%s is not', async name => {
    expect((await get(`/docs/${name}`)).status).toBe(404);
  });

  test('the OpenAPI document says which release it is of', async () => {
    expect(await (await get('/openapi.json')).json()).toMatchObject({ openapi: '3.1.0', info: { version: '9.9.9' } });
  });

  test('readiness follows Redis, health does not', async () => {
    expect((await get('/readyz')).status).toBe(200);
    redisAnswers = false;
    const response = await get('/readyz');
    redisAnswers = true;
    expect(response.status).toBe(503);
    expect(await response.text()).toContain('Redis: does not answer');
    expect((await get('/healthz')).status).toBe(200);
  });

  test('metrics are for those with the permission', async () => {
    expect((await get('/metrics')).status).toBe(401);
    expect((await get('/metrics', { Authorization: `Bearer ${key.apiKey}` })).status).toBe(403);
    const operator = await newTenantKey(ground.database, { role: 'operator' });
    const response = await get('/metrics', { Authorization: `Bearer ${operator.apiKey}` });
    expect(await response.text()).toContain('iocloud_http_request_duration_seconds_bucket');
  });
});
