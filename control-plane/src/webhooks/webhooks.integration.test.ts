/** Events on their way to a real HTTP server, checked with the reference library of Standard Webhooks. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { authenticator } from '../accounts/index.js';
import { recordEvent } from '../events/index.js';
import { Destinations, Http, Seal, Signer } from '../platform/index.js';
import { callWith, type Ground, newTenantKey, startGround, type TestKey } from '../test-ground.js';
import { webhookRoutes } from './routes.js';
import { send } from './send.js';
import { Sender } from './sender.js';

let ground: Ground;
let http: Http;
let base: string;
let receiver: Server;
let url: string;
let owner: TestKey;
let stranger: TestKey;
const seal = new Seal(randomBytes(32));
const loopback = new Destinations(['127.0.0.0/8', '::1/128'], 'IOCLOUD_WEBHOOK_NETWORKS');

/** What came, and how it is answered. */
let received: { headers: Record<string, string>; body: string }[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const answered =
  (status: number, headers = {}) =>
  (_: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(status, headers).end();

const senders: Sender[] = [];
function newSender(destinations = loopback): Sender {
  const { database, log } = ground;
  const sender = new Sender({
    ...{ database, seal, destinations, log, random: randomBytes },
    chance: () => 0.5,
    clockMs: () => performance.now(),
    nowMs: Date.now,
    logDays: 30,
    userAgent: 'iocloud/test',
  });
  senders.push(sender);
  return sender;
}
/** All that is due now, sent. */
async function turn(sender = newSender()): Promise<void> {
  await sender.turn(() => false);
  await sender.idle();
}

beforeAll(async () => {
  ground = await startGround();
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      received.push({ headers: request.headers as Record<string, string>, body: Buffer.concat(chunks).toString() });
      answer(request, response);
    });
  });
  await new Promise<void>(ready => receiver.listen(0, '127.0.0.1', ready));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
  http = new Http(authenticator(ground.database, new Signer('a secret of this test')), ground.log);
  webhookRoutes(http, {
    ...{ database: ground.database, seal, random: randomBytes, destinations: loopback },
    sender: newSender(),
  });
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
}, 60_000);
afterAll(async () => {
  for (const server of [receiver, http?.server]) {
    server?.closeAllConnections();
    server?.close();
  }
  await ground?.stop();
});
beforeEach(async () => {
  await Promise.all(senders.splice(1).map(sender => sender.stop()));
  await ground.database.query('DELETE FROM webhooks');
  owner = await newTenantKey(ground.database);
  stranger = await newTenantKey(ground.database);
  received = [];
  answer = answered(204);
});

const call = (key: TestKey, method: string, path: string, body?: unknown) =>
  callWith(key, method, `${base}/v1/webhooks${path}`, body);
const add = async (wanted: object = {}, key = owner) =>
  (await call(key, 'POST', '', { url, events: ['job.*', 'account.InvoiceReady'], ...wanted })).body;
const happen = (reason: string, subjectKind: 'job' | 'account' | 'cluster' = 'job', key = owner) =>
  ground.database.transaction(tx =>
    recordEvent(tx, { tenantId: key.tenantId, subjectKind, subject: 'train', reason, message: `it was ${reason}` }),
  );
const deliveries = async (id: string) => (await call(owner, 'GET', `/${id}/deliveries`)).body.items;
const bodies = () => received.map(({ body }) => JSON.parse(body));
/** As if that much time had gone by. */
const pass = (seconds: number) =>
  ground.database.query(`UPDATE webhook_deliveries SET next_at = next_at - make_interval(secs => $1)`, [seconds]);
const verify = (secret: string, { body, headers }: (typeof received)[number]) =>
  new Webhook(secret).verify(body, headers);

describe('an event', () => {
  test('comes to each address that wants it, signed so that the reference library accepts it', async () => {
    const { id, secret } = await add();
    const all = await add({ events: ['*'] });
    await happen('JobFailed');
    await happen('HeadReady', 'cluster');
    await turn();
    expect(bodies().map(({ type }) => type)).toContain('job.JobFailed');
    const mine = received.filter(({ body }) => body.includes('JobFailed'));
    expect(mine).toHaveLength(2);
    const accepted = mine.filter(each => {
      try {
        return verify(secret, each);
      } catch {
        return verify(all.secret, each) && false;
      }
    });
    expect(accepted).toHaveLength(1);
    const [delivery, ...others] = await deliveries(id);
    expect(others).toEqual([]);
    expect(delivery).toMatchObject({ type: 'job.JobFailed', state: 'delivered', attempts: 1, lastStatus: 204 });
    expect(accepted[0]?.headers['webhook-id']).toBe(delivery.id);
    expect(JSON.parse(accepted[0]?.body ?? '')).toMatchObject({
      type: 'job.JobFailed',
      data: { subjectKind: 'job', subject: 'train', reason: 'JobFailed', message: 'it was JobFailed' },
    });
  });

  test('of another tenant, or of before the webhook was made, does not come', async () => {
    await happen('JobFailed');
    await add();
    await happen('JobFailed', 'job', stranger);
    await turn();
    expect(received).toEqual([]);
  });

  test('that is recorded by a slow transaction comes too, though later ones have been taken in', async () => {
    const { id } = await add();
    const slow = await ground.database.pool.connect();
    await slow.query('BEGIN');
    await slow.query(
      `INSERT INTO events (tenant_id, subject_kind, subject, reason, message, severity) VALUES ($1, 'job', 'a', 'JobFailed', '', 'info')`,
      [owner.tenantId],
    );
    await happen('JobSucceeded');
    await turn();
    await slow.query('COMMIT');
    slow.release();
    await turn();
    expect((await deliveries(id)).map(({ type }: { type: string }) => type).sort()).toEqual([
      'job.JobFailed',
      'job.JobSucceeded',
    ]);
  });

  test('comes once to each address, though many replicas send at the same time', async () => {
    await add();
    for (let count = 0; count < 20; count += 1) await happen('JobStopped');
    await Promise.all([turn(), turn(), turn()]);
    await turn();
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(20);
    expect(received).toHaveLength(20);
  });
});

describe('a message that does not arrive', () => {
  test('is sent again under the same id, after pauses that grow, with a new time and signature', async () => {
    const { id, secret } = await add();
    await happen('JobFailed');
    answer = answered(500);
    await turn();
    const [missed] = await deliveries(id);
    expect(missed).toMatchObject({ state: 'pending', attempts: 1, lastStatus: 500, lastError: 'answered 500' });
    await turn();
    expect(received).toHaveLength(1);
    await pass(6);
    await turn();
    expect(received).toHaveLength(2);
    await pass(10);
    await turn();
    expect(received).toHaveLength(2);
    answer = answered(200);
    await pass(30);
    await turn();
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    for (const each of received) verify(secret, each);
    expect((await deliveries(id))[0]).toMatchObject({ state: 'delivered', attempts: 3 });
  });

  test('for days is given up, and its address disabled with an event for the others', async () => {
    const { id } = await add();
    await happen('JobFailed');
    answer = answered(500);
    for (let attempt = 0; attempt < 11; attempt += 1) {
      await turn();
      await pass(100_000);
    }
    await turn();
    expect(received).toHaveLength(11);
    const { body } = await call(owner, 'GET', '');
    expect(body.items[0]).toMatchObject({
      id,
      disabledReason: expect.stringContaining('nothing has arrived there since'),
    });
    expect((await deliveries(id))[0]).toMatchObject({ state: 'failed', nextAttemptAt: null });
    const { rows } = await ground.database.query(
      `SELECT severity FROM events WHERE tenant_id = $1 AND reason = 'WebhookDisabled'`,
      [owner.tenantId],
    );
    expect(rows).toEqual([{ severity: 'warning' }]);
    // Enabled again it gets what comes from then on.
    answer = answered(200);
    await happen('JobFailed');
    await turn();
    await call(owner, 'PATCH', `/${id}`, { enabled: true });
    await happen('JobSucceeded');
    await turn();
    expect(bodies().at(-1).type).toBe('job.JobSucceeded');
    expect(received).toHaveLength(12);
  });

  test('because the receiver asks for time is left as long', async () => {
    const { id } = await add();
    await happen('JobFailed');
    answer = answered(429, { 'Retry-After': '3600' });
    const before = Date.now();
    await turn();
    expect(Date.parse((await deliveries(id))[0].nextAttemptAt) - before).toBeGreaterThan(3_590_000);
  });

  test('because the address is gone (410) disables it at once', async () => {
    const { id } = await add();
    await happen('JobFailed');
    answer = answered(410);
    await turn();
    expect((await call(owner, 'GET', '')).body.items[0]).toMatchObject({ id, disabledReason: 'it answered 410: gone' });
  });

  test('because its sender died half-way is sent by the next one', async () => {
    const { id } = await add();
    await happen('JobFailed');
    let hanging: ServerResponse | undefined;
    const arrived = new Promise<void>(resolve => {
      answer = (_, response) => {
        hanging = response;
        resolve();
      };
    });
    const dying = newSender();
    await dying.turn(() => false);
    await arrived;
    await dying.stop();
    hanging?.destroy();
    expect((await deliveries(id))[0]).toMatchObject({ state: 'pending', attempts: 1 });
    answer = answered(200);
    await turn();
    expect(received).toHaveLength(1);
    await pass(61);
    await turn();
    expect((await deliveries(id))[0]).toMatchObject({ state: 'delivered', attempts: 2 });
  });

  test('does not keep those to other addresses waiting', async () => {
    const { id } = await add({ events: ['job.JobFailed'] });
    const other = await add({ events: ['job.JobStopped'] });
    for (let count = 0; count < 6; count += 1) await happen('JobFailed');
    await happen('JobStopped');
    const hanging: ServerResponse[] = [];
    answer = (request, response) => {
      if (received.at(-1)?.body.includes('JobStopped')) response.end();
      else hanging.push(response);
      void request;
    };
    const sender = newSender();
    await sender.turn(() => false);
    const state = async () => (await deliveries(other.id))[0]?.state;
    while ((await state()) !== 'delivered') await new Promise(setImmediate);
    // Four at a time to one address.
    expect((await deliveries(id)).filter(({ attempts }: { attempts: number }) => attempts > 0)).toHaveLength(4);
    for (const response of hanging) response.end();
    await sender.idle();
  });
});

describe('secrets', () => {
  test('are shown once, kept sealed, and rotated with an overlap in which both are used', async () => {
    const { id, secret } = await add();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(JSON.stringify((await call(owner, 'GET', '')).body)).not.toContain('whsec_');
    const { rows } = await ground.database.query('SELECT sealed_secret FROM webhooks WHERE id = $1', [id]);
    expect(rows[0]?.sealed_secret.toString('latin1')).not.toContain(secret.slice(6));
    const { body: rotated } = await call(owner, 'POST', `/${id}/rotate`, { overlapSeconds: 3600 });
    expect(rotated.secret).not.toBe(secret);
    await happen('JobFailed');
    await turn();
    const [message] = received as [(typeof received)[number]];
    verify(secret, message);
    verify(rotated.secret, message);
    const { body: last } = await call(owner, 'POST', `/${id}/rotate`, { overlapSeconds: 0 });
    await happen('JobFailed');
    await turn();
    verify(last.secret, received[1] as typeof message);
    expect(() => verify(rotated.secret, received[1] as typeof message)).toThrow();
  });
});

test('a test is sent at once and says what came of it; one that fails is not sent again', async () => {
  const { id, secret } = await add();
  const { body: arrived } = await call(owner, 'POST', `/${id}/test`);
  expect(arrived).toMatchObject({ type: 'webhook.test', state: 'delivered', lastStatus: 204 });
  verify(secret, received[0] as (typeof received)[number]);
  answer = answered(302, { Location: 'http://127.0.0.1:1/' });
  const { body: missed } = await call(owner, 'POST', `/${id}/test`);
  expect(missed).toMatchObject({
    state: 'failed',
    lastStatus: 302,
    lastError: 'answered 302: redirects are not followed',
  });
  await pass(100);
  await turn();
  expect(received).toHaveLength(2);
});

test('a message is sent again by hand under its id', async () => {
  const { id } = await add();
  await happen('JobFailed');
  await turn();
  const [{ id: delivery }] = await deliveries(id);
  expect((await call(owner, 'POST', `/${id}/deliveries/${delivery}/redeliver`)).body.state).toBe('pending');
  expect((await call(owner, 'POST', `/${id}/deliveries/${delivery}/redeliver`)).status).toBe(409);
  await turn();
  expect(received.map(({ headers }) => headers['webhook-id'])).toEqual([delivery, delivery]);
});

test('others can neither see nor change a webhook, its secret or what it was sent', async () => {
  const { id } = await add();
  await happen('JobFailed');
  await turn();
  const [{ id: delivery }] = await deliveries(id);
  for (const [method, path, body] of [
    ['PATCH', '', { enabled: false }],
    ['DELETE', '', undefined],
    ['POST', '/rotate', {}],
    ['POST', '/test', undefined],
    ['GET', '/deliveries', undefined],
    ['POST', `/deliveries/${delivery}/redeliver`, undefined],
  ] as const) {
    expect((await call(stranger, method, `/${id}${path}`, body)).status).toBe(404);
  }
  expect((await call(stranger, 'GET', '')).body.items).toEqual([]);
  const viewer = await newTenantKey(ground.database, { role: 'member' });
  expect((await call(viewer, 'POST', '', { url, events: ['*'] })).status).toBe(403);
});

test.each([
  [{ url: 'http://example.com/' }, 201],
  [{ url: 'http://10.0.0.1/' }, 400],
  [{ url: 'https://169.254.169.254/latest/' }, 400],
  [{ url: 'ftp://example.com/' }, 400],
  [{ url: 'https://a:b@example.com/' }, 400],
  [{ events: ['jobs.*'] }, 400],
  [{ events: [] }, 400],
])('%j is answered %i', async (wanted, status) => {
  expect((await call(owner, 'POST', '', { url, events: ['*'], ...wanted })).status).toBe(status);
});

describe('an attempt', () => {
  const message = (to: string) => ({ id: 'msg', url: to, body: '{}', headers: {} });
  const attempt = (to: string, destinations = loopback, limitMs = 10_000) =>
    send(message(to), destinations, new AbortController().signal, () => performance.now(), limitMs);

  test('looks at where a name leads when it connects, and goes nowhere that is not allowed', async () => {
    const named = url.replace('127.0.0.1', 'localhost');
    expect((await attempt(named)).status).toBe(204);
    const elsewhere = new Destinations(['10.0.0.0/8'], 'IOCLOUD_WEBHOOK_NETWORKS');
    const outcome = await attempt(named, elsewhere);
    expect(outcome).toMatchObject({ status: null, error: expect.stringContaining('IOCLOUD_WEBHOOK_NETWORKS') });
    expect(received).toHaveLength(1);
  });

  test('ends when the answer takes too long, and is not kept by one without end', async () => {
    answer = () => undefined;
    expect(await attempt(url, loopback, 50)).toMatchObject({ status: null, error: 'no answer within 0.05 s' });
    const closed = new Promise(resolve => {
      answer = (_, response) => {
        response.writeHead(200);
        const more = () => void (response.destroyed || response.write('x'.repeat(65_536), more));
        more();
        resolve(once(response, 'close'));
      };
    });
    expect(await attempt(url)).toMatchObject({ status: 200, error: null });
    await closed;
  });

  test('without a listener says so', async () => {
    expect(await attempt('http://127.0.0.1:1/')).toMatchObject({ status: null, error: 'no connection (ECONNREFUSED)' });
  });
});
