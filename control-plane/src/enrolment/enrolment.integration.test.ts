import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { DeviceAuthorization, JoiningMachine } from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { authenticator } from '../accounts/index.js';
import { Trial } from '../clusters/testing/index.js';
import { nodeRoutes } from '../inventory/index.js';
import { Http, Signer } from '../platform/index.js';
import { newTenantKey, type TestKey } from '../test-ground.js';
import { enrolmentRoutes } from './index.js';

const GiB = 2 ** 30;
const hostKey = newSshKeyPair().public;

let trial: Trial;
let http: Http;
let base: string;
let owner: TestKey;
let machine: JoiningMachine;

beforeAll(async () => {
  trial = await Trial.start();
  const { database } = trial;
  const signer = new Signer('a secret of this test');
  http = new Http(authenticator(database, signer), trial.ground.log);
  enrolmentRoutes(http, {
    config: { publicUrl: undefined, publicSsh: undefined, agentReleaseDir: undefined },
    database,
    signer,
    random: randomBytes,
    ssh: () => ({ port: 2222, hostKey }),
    releaseKey: async () => 'ssh-ed25519 AAAA',
  });
  nodeRoutes(http, database, trial.domain.leaseBook, randomBytes);
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
}, 60_000);
afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await trial?.stop();
});
beforeEach(async () => {
  owner = await newTenantKey(trial.database);
  machine = {
    hostname: `box-${randomBytes(4).toString('hex')}`,
    os: 'Linux 6.1',
    arch: 'x64',
    cpuModel: 'some <b>processor</b>',
    cpus: 8,
    memoryBytes: 32 * GiB,
    diskFreeBytes: 100 * GiB,
    devices: [],
  };
});

async function call(method: string, path: string, body?: unknown, key?: TestKey) {
  const response = await fetch(base + path, {
    method,
    headers: { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key.apiKey}` } : {}) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
  return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as any };
}

const asks = async (publicKey = newSshKeyPair().public): Promise<DeviceAuthorization> => {
  const { status, body } = await call('POST', '/v1/device-authorizations', { publicKey, machine });
  expect(status).toBe(201);
  return body;
};
const answer = async ({ deviceCode }: DeviceAuthorization) =>
  (await call('POST', '/v1/device-authorizations/answer', { deviceCode })).body;
const path = ({ userCode }: DeviceAuthorization, what = '') => `/v1/device-authorizations/${userCode}${what}`;

describe('a machine that asks', () => {
  test('waits, is approved under a name, and is told where to connect and whom to trust', async () => {
    const asked = await asks();
    expect(asked).toMatchObject({
      userCode: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
      verificationUriComplete: `${base}/activate?code=${asked.userCode}`,
    });
    expect(await answer(asked)).toEqual({ status: 'pending' });
    const typed = asked.userCode.toLowerCase().replace('-', ' ');
    const seen = await call('GET', `/v1/device-authorizations/${encodeURIComponent(typed)}`, undefined, owner);
    expect(seen.body).toMatchObject({
      status: 'pending',
      machine,
      fingerprint: expect.stringMatching(/^SHA256:/),
      nodeId: null,
    });

    const approved = await call('POST', path(asked, '/approve'), { name: 'attic' }, owner);
    expect(approved.body).toMatchObject({ status: 'approved', nodeId: expect.stringMatching(/^nd_/) });
    expect(await answer(asked)).toEqual({
      status: 'approved',
      nodeId: approved.body.nodeId,
      name: 'attic',
      online: false,
      ssh: { host: null, port: 2222, hostKey },
      releaseKey: 'ssh-ed25519 AAAA',
    });
    const node = await call('GET', `/v1/nodes/${approved.body.nodeId}`, undefined, owner);
    expect(node.body).toMatchObject({ name: 'attic', shared: false, state: 'offline' });
    // A click that comes twice makes no second machine.
    expect((await call('POST', path(asked, '/approve'), { name: 'attic' }, owner)).body.nodeId).toBe(
      approved.body.nodeId,
    );
  });

  test('tells how far it is, to its owner', async () => {
    const asked = await asks();
    await call('POST', path(asked, '/approve'), {}, owner);
    const tell = (step: string, state: string, message: string) =>
      call('POST', '/v1/device-authorizations/progress', {
        deviceCode: asked.deviceCode,
        progress: { step, state, message },
      });
    expect((await tell('ray', 'running', '12 of 80 packages')).status).toBe(204);
    await tell('ray', 'done', 'Ray 2.60.0');
    const { body } = await call('GET', path(asked), undefined, owner);
    expect(body.progress).toEqual([{ step: 'ray', state: 'done', message: 'Ray 2.60.0' }]);
    expect((await tell('dance', 'done', '')).status).toBe(400);
  });

  test('is turned away', async () => {
    const asked = await asks();
    expect((await call('POST', path(asked, '/deny'), undefined, owner)).body.status).toBe('denied');
    expect(await answer(asked)).toEqual({ status: 'denied' });
    expect((await call('POST', path(asked, '/approve'), {}, owner)).status).toBe(409);
  });

  test('that nobody approves in time has to ask again', async () => {
    const asked = await asks();
    await trial.database.query(
      "UPDATE device_authorizations SET expires_at = now() - interval '1 s' WHERE user_code = $1",
      [asked.userCode],
    );
    expect(await answer(asked)).toEqual({ status: 'expired' });
    const late = await call('POST', path(asked, '/approve'), {}, owner);
    expect([late.status, late.body.detail]).toEqual([409, expect.stringContaining('start again on the machine')]);
  });

  test('lacks something: all of it is said, and no code is given', async () => {
    machine = { ...machine, cpus: 1, memoryBytes: GiB };
    const { status, body } = await call('POST', '/v1/device-authorizations', {
      publicKey: newSshKeyPair().public,
      machine,
    });
    expect([status, body.detail]).toEqual([
      422,
      'this machine cannot join: it has 1 CPUs, and 2 are needed; it has 1.0 GiB of memory, and 4.0 GiB are needed',
    ]);
  });

  test('must show a key of the kind that devices have', async () => {
    const { status } = await call('POST', '/v1/device-authorizations', { publicKey: 'ssh-rsa AAAA', machine });
    expect(status).toBe(400);
  });
});

describe('nobody else', () => {
  test('can approve without a key that may, see what another tenant decided on, or ask with a made-up code', async () => {
    const asked = await asks();
    const viewer = await newTenantKey(trial.database, { role: 'viewer' });
    expect((await call('POST', path(asked, '/approve'), {})).status).toBe(401);
    expect((await call('POST', path(asked, '/approve'), {}, viewer)).status).toBe(403);
    await call('POST', path(asked, '/approve'), {}, owner);
    const stranger = await newTenantKey(trial.database);
    for (const [method, what] of [
      ['GET', ''],
      ['POST', '/approve'],
      ['POST', '/deny'],
    ] as const) {
      expect((await call(method, path(asked, what), method === 'GET' ? undefined : {}, stranger)).status).toBe(404);
    }
    const guess = randomBytes(32).toString('base64url');
    expect((await call('POST', '/v1/device-authorizations/answer', { deviceCode: guess })).status).toBe(404);
  });

  test('keeps others from asking by asking without end', async () => {
    const statuses = [];
    for (let count = 0; count < 110; count += 1) {
      const wish = { publicKey: newSshKeyPair().public, machine };
      statuses.push((await call('POST', '/v1/device-authorizations', wish)).status);
    }
    expect(statuses.at(-1)).toBe(429);
    await trial.database.query('DELETE FROM device_authorizations');
  });

  test('a key that is enrolled already is not enrolled for another', async () => {
    const publicKey = newSshKeyPair().public;
    const [first, second] = [await asks(publicKey), await asks(publicKey)];
    expect((await call('POST', path(first, '/approve'), { name: 'one' }, owner)).status).toBe(200);
    const again = await call('POST', path(second, '/approve'), { name: 'two' }, await newTenantKey(trial.database));
    expect(again.status).toBe(409);
    expect(await answer(second)).toEqual({ status: 'pending' });
  });
});

describe('the page', () => {
  const post = (form: Record<string, string>, origin = base) =>
    fetch(`${base}/activate`, {
      method: 'POST',
      redirect: 'manual',
      headers: { origin },
      body: new URLSearchParams(form),
    });
  const tokenIn = (page: string) => /name="token" value="([^"]+)"/.exec(page)?.[1] ?? '';

  test('shows the machine, lets its owner approve it, and then how it sets itself up', async () => {
    const asked = await asks();
    expect(await (await fetch(`${base}/activate?code=${asked.userCode}`)).text()).toContain(
      `value="${asked.userCode}"`,
    );
    const shown = await (await post({ code: asked.userCode.toLowerCase(), key: owner.apiKey })).text();
    expect(shown).toContain(machine.hostname);
    expect(shown).not.toContain('<b>processor</b>');
    expect(shown).not.toContain(owner.apiKey);
    const decided = await post({ token: tokenIn(shown), name: 'from the page', decision: 'approve' });
    expect(decided.status).toBe(303);
    await call('POST', '/v1/device-authorizations/progress', {
      deviceCode: asked.deviceCode,
      progress: { step: 'ray', state: 'failed', message: 'no Python: install python3' },
    });
    const watch = await (await fetch(base + decided.headers.get('location'))).text();
    expect(watch).toContain('no Python: install python3');
    expect(watch).toContain('http-equiv="refresh"');
    expect(await answer(asked)).toMatchObject({ status: 'approved', name: 'from the page' });
  });

  test('a name that is taken is said where another can be chosen', async () => {
    const [first, second] = [await asks(), await asks()];
    await call('POST', path(first, '/approve'), { name: 'taken' }, owner);
    const token = tokenIn(await (await post({ code: second.userCode, key: owner.apiKey })).text());
    const refused = await post({ token, name: 'taken', decision: 'approve' });
    expect(refused.status).toBe(409);
    const page = await refused.text();
    expect(page).toContain('named taken');
    expect((await post({ token: tokenIn(page), name: 'free', decision: 'approve' })).status).toBe(303);
  });

  test('takes no form from another site, no key that may not enrol, and no token that is made up', async () => {
    const asked = await asks();
    const form = { code: asked.userCode, key: owner.apiKey };
    expect((await post(form, 'https://attacker.example')).status).toBe(403);
    const viewer = await newTenantKey(trial.database, { role: 'viewer' });
    expect((await post({ ...form, key: viewer.apiKey })).status).toBe(403);
    expect((await post({ ...form, key: 'ioc_nonsense' })).status).toBe(401);
    expect((await post({ ...form, code: 'AAAA' })).status).toBe(400);
    expect((await post({ token: 'made.up', decision: 'approve' })).status).toBe(401);
    expect((await fetch(`${base}/activate?watch=made.up`)).status).toBe(401);
    expect(await answer(asked)).toEqual({ status: 'pending' });
  });
});
