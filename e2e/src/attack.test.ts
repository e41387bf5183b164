/** Everything that somebody without the right could try, on every route of the table and every port of Ray's. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { api, type Refusal, type Route } from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import ssh2 from 'ssh2';
import { handshake, Payee, processesNaming, SshUser, Stack, TestChain, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
// biome-ignore lint/suspicious/noExplicitAny: the API's own shape
let cluster: any;
let tenantId: string;
let stranger: string;
let viewer: string;
/** Of a machine that joined us. */
let userCode: string;
let sshKeyId: string;
/** That money of ours was set aside by, for an order named `mine`. */
let transactionId: number;
let webhookId: string;
let megaClusterId: string;
let directory: string;
let chain: TestChain;
let addressId: string;
let payoutId: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iocloud-e2e-attack-'));
  chain = await TestChain.start(directory);
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '4', ...chain.env } });
  cluster = await stack.cluster('target');
  await stack.ended(await stack.submit('echo secret', { submission_id: 'mine', metadata: { 'io.cluster': 'target' } }));
  tenantId = (await stack.call('GET', '/v1/whoami')).body.tenant.id;
  stranger = (await stack.call('POST', '/v1/tenants', { name: 'mallory' })).body.apiKey.secret;
  const { inventory } = (await stack.call('GET', '/v1/nodes')).body.items[0];
  const { hostname, os, arch, cpuModel, cpus, memoryBytes, diskFreeBytes, devices } = inventory;
  const machine = { hostname, os, arch, cpuModel, cpus, memoryBytes, diskFreeBytes, devices };
  const asked = await stack.call('POST', '/v1/device-authorizations', { publicKey: newSshKeyPair().public, machine });
  userCode = asked.body.userCode;
  await stack.call('POST', `/v1/device-authorizations/${userCode}/approve`, { name: 'joined' });
  sshKeyId = (await SshUser.register(stack)).keyId;
  const money = { tenantId, asset: 'USDC', amount: '5' };
  await stack.call('POST', '/v1/ledger/credits', { ...money, reason: 'a start' }, { 'idempotency-key': 'a start' });
  await stack.call('POST', '/v1/ledger/holds', { ...money, reference: 'mine', memo: 'an order' });
  transactionId = (await stack.call('GET', '/v1/ledger/transactions')).body.items[0].id;
  const webhook = { url: 'https://example.com/mine', events: ['account.InvoiceReady'] };
  webhookId = (await stack.call('POST', '/v1/webhooks', webhook)).body.id;
  // It waits for a machine that nobody has: what matters is whose it is.
  const mega = { name: 'target-cells', cells: 1, cell: { head: { cpus: 1_000 } } };
  megaClusterId = (await stack.call('POST', '/v1/mega-clusters', mega)).body.id;
  const io = { tenantId, asset: 'IO', amount: '5', reason: 'to be paid out' };
  await stack.call('POST', '/v1/ledger/credits', io, { 'idempotency-key': 'to be paid out' });
  const payee = await Payee.register((...args) => stack.said(...args), await chain.wallet());
  addressId = payee.addressId;
  payoutId = await payee.request('2', '--from', 'available');
  const { body: user } = await stack.call('POST', '/v1/users', { name: 'reader', role: 'viewer' });
  viewer = (
    await stack.call('POST', '/v1/api-keys', {
      name: 'reading',
      userId: user.id,
      scopes: ['jobs:read', 'clusters:read'],
    })
  ).body.secret;
});
afterAll(async () => {
  await stack?.stop();
  await chain?.stop();
  await rm(directory, { recursive: true, force: true });
});

const protectedRoutes = Object.entries<Route>(api).filter(([, route]) => route.access !== 'public');
const pathOf = (route: Route) =>
  route.path
    .replace('{submissionId}', 'mine')
    .replace('{clusterId}', cluster?.id)
    .replace('{megaCluster}', megaClusterId)
    .replace('{nodeId}', cluster?.leases[0].nodeId)
    .replace('{leaseId}', cluster?.leases[0].id)
    .replace('{providerId}', 'pv_00000000000000000000')
    .replace('{verificationId}', 'vf_00000000000000000000')
    .replace('{tenantId}', tenantId)
    .replace('{userCode}', userCode)
    .replace('{rolloutId}', 'ro_00000000000000000000')
    .replace('{keyId}', `ak_${stack.apiKey.split('_')[1]}`)
    .replace('{sshKeyId}', sshKeyId)
    .replace('{transactionId}', String(transactionId))
    .replace('{reference}', 'mine')
    .replace('{model}', 'a100-80-sxm')
    .replace('{quoteId}', 'qt_00000000000000000000')
    .replace('{invoiceId}', 'in_00000000000000000000')
    .replace('{line}', '1')
    .replace('{webhookId}', webhookId)
    .replace('{deliveryId}', 'msg_00000000000000000000')
    .replace('{addressId}', addressId)
    .replace('{payoutId}', payoutId)
    .replace('{slashId}', 'sl_00000000000000000000')
    .replace('{proposalId}', 'pr_00000000000000000000')
    .replace('{hour}', '1')
    .replace('{port}', '8265')
    .replace('{protocol}', 'gcs')
    .replace('{name}', '_ray_pkg_0123456789abcdef.zip')
    .replace(/\*$/, 'api/jobs/');
const methodOf = (route: Route) => (route.method === 'all' ? 'GET' : route.method.toUpperCase());

/** A call without our key: with none, or with the one given. */
async function bare(method: string, path: string, key?: string, body?: unknown) {
  const response = await fetch(`${stack.address}${path}`, {
    method,
    redirect: 'manual',
    headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

/** What a log tail's handshake is answered, with this key. */
const upgrade = (path: string, key?: string) =>
  handshake(stack.address, path, key ? { authorization: `Bearer ${key}` } : {});

describe('without a key', () => {
  test.each(protectedRoutes.map(([name, route]) => [name, route] as const))('%s answers 401', async (_name, route) => {
    const { status, text } = await bare(methodOf(route), pathOf(route));
    expect(status).toBe(401);
    expect(text).not.toContain('secret');
  });

  test.each(['Bearer', 'Bearer ', 'Bearer x', 'Basic YTpi', 'bearer ioc_aaaaaaaaaaaaaaaaaaaa_', ''])(
    'an Authorization header of %j opens nothing',
    async authorization => {
      const { status } = await fetch(`${stack.address}/api/jobs/`, { headers: { authorization } });
      expect(status).toBe(401);
    },
  );

  test('a log tail is refused before the WebSocket opens', async () => {
    expect(await upgrade('/api/jobs/mine/logs/tail')).toBe(401);
    expect(await upgrade(`/clusters/${cluster.id}/dashboard/api/jobs/mine/logs/tail`)).toBe(401);
    expect(await upgrade(`/clusters/${cluster.id}/terminal/socket`)).toBe(401);
    expect(await upgrade(`/v1/clusters/${cluster.id}/ports/8265`)).toBe(401);
  });
});

describe('with the key of another tenant', () => {
  test('no list shows anything of ours', async () => {
    for (const path of [
      '/api/jobs/',
      '/v1/jobs',
      '/v1/clusters',
      '/v1/mega-clusters',
      '/v1/nodes',
      '/v1/events',
      '/v1/users',
      '/v1/api-keys',
      '/v1/queue-terms',
      '/v1/ssh-keys',
      '/v1/ssh-sessions',
      '/v1/ledger/accounts',
      '/v1/ledger/transactions',
      '/v1/invoices',
      '/v1/webhooks',
      '/v1/deposits',
      '/v1/payout-addresses',
      '/v1/payouts',
      '/v1/usage',
      '/v1/usage/lines',
      '/v1/usage/events',
      '/v1/token/stakes',
      '/v1/token/unstakings',
      '/v1/token/rewards',
      '/v1/token/slashes',
      '/v1/token/proposals',
      '/v1/providers',
      '/v1/metrics/targets',
    ]) {
      const { status, text } = await bare('GET', path, stranger);
      expect([path, status]).toEqual([path, 200]);
      expect(text).not.toContain(cluster.id);
      expect(text).not.toContain(tenantId);
      expect(text).not.toContain('mine');
      expect(text).not.toContain(stack.apiKey.split('_')[1]);
    }
  });

  test.each(
    protectedRoutes
      // Prices and the schedule of emission are everybody's.
      .filter(([, route]) => route.params && !/^\/(api\/packages|v1\/prices|v1\/token\/schedule)\//.test(route.path))
      .map(([name, route]) => [name, route] as const),
  )('%s of ours answers 404', async (_name, route) => {
    const bodies = new Map<Route, object>([
      [api.scaleCluster, { group: 'workers', count: 1 }],
      [api.changeCluster, { priority: 'low' }],
      [api.changeMegaCluster, { cells: 2 }],
      [api.drainNode, {}],
      [api.holdAgent, {}],
      [api.changeJob, { metadata: { 'io.priority': 'low' } }],
      [api.rateJob, { stars: 1 }],
      [api.changeWebhook, { enabled: false }],
      [api.rotateWebhook, {}],
      [api.appealVerification, { reason: 'mine now' }],
      [api.decideAppeal, { decision: 'accepted', reason: 'mine now' }],
      [api.confirmPayout, { code: '123456' }],
      [api.appealSlash, { reason: 'mine now' }],
      [api.castVote, { vote: 'yes' }],
    ]);
    const body = bodies.get(route);
    const { status, text } = await bare(methodOf(route), pathOf(route), stranger, body);
    expect([403, 404]).toContain(status);
    expect(text).not.toContain('secret');
  });

  test('a log tail of ours answers 404, to us it opens', async () => {
    expect(await upgrade('/api/jobs/mine/logs/tail', stranger)).toBe(404);
    expect(await upgrade(`/clusters/${cluster.id}/dashboard/api/jobs/mine/logs/tail`, stranger)).toBe(404);
    expect(await upgrade('/api/jobs/mine/logs/tail', stack.apiKey)).toBe('open');
  });

  test('a package of ours is not theirs, and theirs does not become ours', async () => {
    const path = '/api/packages/gcs/_ray_pkg_aaaaaaaaaaaaaaaa.zip';
    const empty = Buffer.from('504b0506000000000000000000000000000000000000', 'hex');
    const put = await fetch(`${stack.address}${path}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${stranger}` },
      body: empty,
    });
    expect(put.status).toBe(200);
    expect((await bare('GET', path, stranger)).status).toBe(200);
    expect((await stack.call('GET', path)).status).toBe(404);
  });

  test('nothing of ours has changed', async () => {
    expect((await stack.call('GET', `/v1/clusters/${cluster.id}`)).body.phase).toBe('ready');
    expect((await stack.job('mine')).status).toBe('SUCCEEDED');
  });
});

describe('April 2024 replayed: the ids of a supplier and of its machine are known to everybody', () => {
  // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
  let before: any;
  let nodeId: string;
  let supplier: string;
  let rival: string;
  let session: string;
  const rivalDevice = newSshKeyPair();
  beforeAll(async () => {
    const tenant = async (name: string) => (await stack.call('POST', '/v1/tenants', { name })).body.apiKey.secret;
    [supplier, rival] = [await tenant('supplier'), await tenant('rival')];
    const enrol = async (key: string, name: string, publicKey: string) =>
      JSON.parse((await bare('POST', '/v1/nodes', key, { name, publicKey, shared: true })).text);
    nodeId = (await enrol(supplier, 'theirs', newSshKeyPair().public)).id;
    await enrol(rival, 'own', rivalDevice.public);
    before = JSON.parse((await bare('GET', `/v1/nodes/${nodeId}`, supplier)).text);
    const login = await fetch(`${stack.address}/login`, {
      method: 'POST',
      redirect: 'manual',
      headers: { origin: stack.address },
      body: new URLSearchParams({ key: supplier }),
    });
    session = login.headers.get('set-cookie')?.split(';')[0] ?? '';
    expect(session).toMatch(/^iocloud_session=./);
  });

  const writes = protectedRoutes.filter(
    ([, { method, path }]) => method !== 'get' && method !== 'all' && path !== '/login',
  );
  const onDevices = writes.filter(([, { path }]) => path.includes('{nodeId}'));
  const pathTo = (route: Route) => pathOf({ ...route, path: route.path.replace('{nodeId}', nodeId) });
  const bodies = new Map<string, object>([
    ['changeNodeTerms', { country: 'AQ', microUsdPerGpuHour: 0 }],
    ['drainNode', { graceSeconds: 0, reason: 'mine now' }],
    ['appealVerification', { reason: 'it was the fan' }],
  ]);
  const attempt = async (name: string, route: Route, headers: Record<string, string>) => {
    const body = JSON.stringify(bodies.get(name) ?? {});
    const call = { method: methodOf(route), headers: { ...headers, 'content-type': 'application/json' }, body };
    return (await fetch(`${stack.address}${pathTo(route)}`, call)).status;
  };

  test.each(onDevices)('%s is refused to whoever does not own the machine', async (name, route) => {
    const forged = `${supplier.slice(0, -4)}${supplier.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
    const as = (key: string) => attempt(name, route, { authorization: `Bearer ${key}` });
    expect(await attempt(name, route, {})).toBe(401);
    expect(await as(forged)).toBe(401);
    expect(await as(rival)).toBe(404);
    // The key of an operator reaches all tenants, and nobody's machine.
    expect(await as(stack.apiKey)).toBe(404);
  });

  test.each(writes)('%s is refused to a stolen session', async (name, route) => {
    expect(await attempt(name, route, { cookie: session })).toBe(401);
    expect(await attempt(name, route, { cookie: session, origin: 'https://attacker.example' })).toBe(401);
  });

  test('the device key of another machine does not speak for this one', async () => {
    const { controlPlane } = JSON.parse(readFileSync(join(stack.home, 'agent.json'), 'utf8'));
    const client = new ssh2.Client();
    const outcome = new Promise<string>(resolve => {
      client.on('ready', () => resolve('ready'));
      client.on('error', error => resolve(error.message));
    });
    const { host, port } = controlPlane;
    client.connect({ host, port, username: nodeId, privateKey: rivalDevice.private, strictVendor: false });
    expect(await outcome).toMatch(/authentication methods failed/);
    client.end();
  });

  test('nothing of the machine has changed, and its owner can see who tried', async () => {
    expect(JSON.parse((await bare('GET', `/v1/nodes/${nodeId}`, supplier)).text)).toEqual(before);
    const seen = async () => {
      const { items } = JSON.parse((await bare('GET', '/v1/audit/refusals?limit=1000', supplier)).text);
      return items as Refusal[];
    };
    const refusals = await until('all of it on record', 10_000, async () => {
      const items = await seen();
      return items.some(({ operation }) => operation === 'agent-connection') ? items : null;
    });
    for (const [name] of onDevices) {
      const tried = refusals.filter(({ operation, target }) => operation === name && target === nodeId);
      expect([name, [...new Set(tried.map(({ by }) => by))].sort()]).toEqual([name, ['others', 'ours', 'unknown']]);
      expect(tried.filter(({ by }) => by === 'others').reduce((sum, { count }) => sum + count, 0)).toBe(2);
    }
    const { items } = JSON.parse((await bare('GET', `/v1/events?subject=${nodeId}`, supplier)).text);
    expect(items.map(({ reason }: { reason: string }) => reason)).toContain('AccessRefused');
    const own = await bare('GET', '/v1/audit/refusals', stranger);
    expect(own.text).not.toContain(nodeId);
  });
});

describe('with a key that may only read', () => {
  test.each([
    ['POST', '/api/jobs/', { entrypoint: 'true' }],
    ['POST', '/api/jobs/mine/stop', undefined],
    ['DELETE', '/api/jobs/mine', undefined],
    ['POST', '/v1/clusters', { name: 'x', head: { cpus: 1 } }],
    ['POST', '/v1/api-keys', { name: 'more' }],
    ['POST', '/v1/users', { name: 'more', role: 'owner' }],
    ['POST', '/v1/ssh-keys', { publicKey: 'ssh-ed25519 AAAA' }],
    ['POST', '/v1/appeals/vf_00000000000000000000', { decision: 'accepted', reason: 'x' }],
    ['GET', '/v1/appeals', undefined],
    ['GET', '/metrics', undefined],
  ])('%s %s answers 403', async (method, path, body) => {
    expect((await bare(method, path, viewer, body)).status).toBe(403);
  });

  test('a job cannot be submitted through the dashboard path either', async () => {
    const { status } = await bare('POST', `/clusters/${cluster.id}/dashboard/api/jobs/`, viewer, {
      entrypoint: 'true',
    });
    expect(status).toBe(403);
  });
});

describe("Ray's own ports", () => {
  /** TCP ports that Ray's processes listen on, read in their own network namespaces. */
  const listening = '0A'; // TCP_LISTEN in /proc/net/tcp
  const rayPorts = () => {
    const ports = new Set<number>();
    const ray = processesNaming(stack.home).filter(({ command }) =>
      /gcs_server|raylet|dashboard|ray::|runtime_env/.test(command),
    );
    for (const { pid } of ray) {
      for (const table of ['tcp', 'tcp6']) {
        try {
          for (const line of readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1)) {
            const fields = line.trim().split(/\s+/);
            if (fields[3] === listening) ports.add(Number.parseInt(fields[1]?.split(':')[1] ?? '', 16));
          }
        } catch {
          // The process has ended meanwhile.
        }
      }
    }
    return { ports: [...ports], processes: ray };
  };

  const addresses = () => [
    '127.0.0.1',
    '127.0.0.2',
    '127.0.0.3',
    ...Object.values(networkInterfaces()).flatMap(list =>
      (list ?? []).filter(one => one.family === 'IPv4').map(one => one.address),
    ),
  ];

  const answers = (host: string, port: number) =>
    new Promise<boolean>(resolve => {
      const socket = connect({ host, port, timeout: 300 });
      const end = (reached: boolean) => {
        socket.destroy();
        resolve(reached);
      };
      socket.on('connect', () => end(true));
      socket.on('timeout', () => end(false));
      socket.on('error', () => end(false));
    });

  test('none can be reached from this machine, on any of its addresses', async () => {
    const { ports, processes } = rayPorts();
    expect(processes.length).toBeGreaterThan(3);
    expect(ports.length).toBeGreaterThan(5);
    const { body } = await stack.call('GET', '/v1/nodes');
    // As root on Linux every cluster has a network namespace of its own; else Ray's token alone keeps its ports.
    const machine = body.items.find((node: { inventory: unknown }) => node.inventory !== null);
    expect(machine.inventory.isolation).toBe('namespace');
    const own = new Set([new URL(stack.address).port].map(Number));
    const reached: string[] = [];
    for (const host of new Set(addresses())) {
      for (const port of ports) {
        if (!own.has(port) && (await answers(host, port))) reached.push(`${host}:${port}`);
      }
    }
    expect(reached).toEqual([]);
  });

  test('CVE-2023-48022 replayed: no call of the published attack gets through the front door', async () => {
    const prefixes = ['', `/clusters/${cluster.id}/dashboard`];
    const calls: [string, string, unknown?][] = [
      ['POST', '/api/jobs/', { entrypoint: 'touch /tmp/owned' }],
      ['GET', '/api/jobs/'],
      ['GET', '/api/version'],
      ['GET', '/nodes?view=summary'],
      ['GET', '/api/cluster_status'],
      ['GET', '/api/v0/logs/file?node_id=x&filename=../../../../etc/passwd'],
      ['GET', '/log_proxy?url=http://169.254.169.254/latest/meta-data/'],
      ['GET', '/worker/traceback?pid=1'],
      ['GET', '/api/serve/applications/'],
      ['PUT', '/api/serve/applications/', { applications: [] }],
      ['GET', '/api/actors/kill?actor_id=x'],
    ];
    for (const prefix of prefixes) {
      for (const [method, path, body] of calls) {
        const { status, text } = await bare(method, `${prefix}${path}`, undefined, body);
        expect([401, 404]).toContain(status);
        expect(text.length).toBeLessThan(500);
      }
    }
  });
});
