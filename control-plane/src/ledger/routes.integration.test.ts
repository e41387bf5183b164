/** The ledger over HTTP: what an operator posts, what a tenant sees of it, and what is refused to whom. */
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { authenticator, getTenant } from '../accounts/index.js';
import { Http, Signer } from '../platform/index.js';
import { type Ground, newTenantKey, startGround, type TestKey } from '../test-ground.js';
import { ledgerRoutes } from './index.js';

const fees = { paymentPpm: 20_000n, paymentInIoPpm: 0n, reservationRenterPpm: 2_500n, reservationSupplierPpm: 2_500n };

let ground: Ground;
let http: Http;
let base: string;
let operator: TestKey;
let renter: TestKey;
let supplier: TestKey;
let stranger: TestKey;
let number = 0;

beforeAll(async () => {
  ground = await startGround();
  const { database, log } = ground;
  http = new Http(authenticator(database, new Signer('a secret of this test')), log);
  ledgerRoutes(http, { database, fees, demandTenant: getTenant });
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
  operator = await newTenantKey(database, { role: 'operator' });
});
beforeEach(async () => {
  renter = await newTenantKey(ground.database);
  supplier = await newTenantKey(ground.database);
  stranger = await newTenantKey(ground.database);
  number += 1;
});
afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await ground?.stop();
});

async function call(key: TestKey, method: string, path: string, body?: unknown, idempotencyKey?: string) {
  const response = await fetch(`${base}/v1/ledger${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${key.apiKey}`,
      ...(idempotencyKey === undefined ? {} : { 'Idempotency-Key': idempotencyKey }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
  return { status: response.status, body: (await response.json()) as any };
}

const creditBody = (amount = '100', asset = 'USDC') => ({
  tenantId: renter.tenantId,
  asset,
  amount,
  reason: 'invoice 7',
});
const credit = (amount = '100', asset = 'USDC', key = `credit ${number} ${asset}`) =>
  call(operator, 'POST', '/credits', creditBody(amount, asset), key);
const order = () => `order-${number}`;
const openHold = (amount: string, asset = 'USDC') =>
  call(operator, 'POST', '/holds', { reference: order(), tenantId: renter.tenantId, asset, amount, memo: 'a cluster' });
const settle = (costUsd: string, key: string) =>
  call(
    operator,
    'POST',
    `/holds/${order()}/settlements`,
    { supplierId: supplier.tenantId, costUsd, usdPerIo: '1.85', memo: 'hour 1' },
    key,
  );
const balances = async (key: TestKey) => {
  const { body } = await call(key, 'GET', '/accounts');
  return Object.fromEntries(
    body.items.map(({ kind, asset, balance }: Record<string, string>) => [`${kind} ${asset}`, balance]),
  );
};
const eventsOf = async ({ tenantId }: TestKey) => {
  const { rows } = await ground.database.query<{ reason: string; message: string }>(
    'SELECT reason, message FROM events WHERE tenant_id = $1 ORDER BY sequence',
    [tenantId],
  );
  return rows;
};

describe('an order', () => {
  test('is paid out of its hold to the unit, and what is left goes back once', async () => {
    expect((await credit()).status).toBe(201);
    expect(await openHold('10')).toMatchObject({ status: 201, body: { left: '10.000000', closed: false } });
    const { status, body: settled } = await settle('1.234567', 'hour 1');
    expect(status).toBe(201);
    expect(settled.detail).toMatchObject({ usdPerIo: '185/100', paid: '1.262344', rounding: '0.000001' });
    expect(await balances(renter)).toEqual({ 'available USDC': '90.000000', 'escrow USDC': '8.737656' });
    expect(await balances(supplier)).toEqual({ 'earnings IO': '0.66566486' });
    const close = () => call(operator, 'POST', `/holds/${order()}/close`);
    expect(await close()).toMatchObject({ status: 200, body: { left: '0.000000', closed: true } });
    expect(await close()).toMatchObject({ status: 200, body: { left: '0.000000', closed: true } });
    expect(await balances(renter)).toEqual({ 'available USDC': '98.737656' });
    expect((await settle('1', 'late')).status).toBe(409);
    expect((await call(renter, 'GET', '/accounts?closed=true')).body.items).toHaveLength(2);
    expect((await eventsOf(renter)).map(({ reason }) => reason)).toEqual([
      'LedgerCredited',
      'HoldOpened',
      'HoldClosed',
    ]);
    expect((await call(operator, 'GET', '/check')).body).toMatchObject({ clean: true, differences: [] });
  });

  test('in IO costs no payment fee', async () => {
    await credit('5', 'IO');
    await openHold('2', 'IO');
    expect((await settle('1.234567', 'hour 1')).body.detail).toMatchObject({
      paid: '0.66900184',
      paymentFee: '0.00000000',
    });
    expect(await balances(supplier)).toEqual({ 'earnings IO': '0.66566517' });
  });

  test('that costs more than is set aside is refused whole', async () => {
    await credit('1');
    await openHold('1');
    expect(await settle('1', 'hour 1')).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching('less left') },
    });
    expect(await balances(renter)).toEqual({ 'available USDC': '0.000000', 'escrow USDC': '1.000000' });
  });

  test('cannot set aside what is not there, nor take another’s reference', async () => {
    expect(await openHold('1')).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching('has less than') },
    });
    await credit('3');
    await openHold('1');
    expect((await openHold('1')).status).toBe(201);
    expect((await openHold('2')).status).toBe(409);
    const other = { reference: order(), tenantId: stranger.tenantId, asset: 'USDC', amount: '1', memo: 'mine now' };
    expect((await call(operator, 'POST', '/holds', other)).status).toBe(409);
    expect(await balances(renter)).toEqual({ 'available USDC': '2.000000', 'escrow USDC': '1.000000' });
  });
});

describe('once', () => {
  test('the same key with the same content is the same transaction, with other content a 409', async () => {
    const first = await credit('7');
    expect((await credit('7')).body.id).toBe(first.body.id);
    expect((await credit('8')).status).toBe(409);
    expect(await balances(renter)).toEqual({ 'available USDC': '7.000000' });
    expect(await eventsOf(renter)).toHaveLength(1);
    await openHold('7');
    const settled = await settle('1', 'hour 1');
    expect((await settle('1', 'hour 1')).body.id).toBe(settled.body.id);
    expect((await settle('2', 'hour 1')).status).toBe(409);
    expect((await settle('1', 'hour 2')).body.id).not.toBe(settled.body.id);
  });

  test('what moves money asks for a key', async () => {
    const { status, body } = await call(operator, 'POST', '/credits', creditBody());
    expect([status, body.detail]).toEqual([400, expect.stringMatching('Idempotency-Key')]);
  });
});

describe('a reversal', () => {
  const reverse = (id: number, reason = 'a mistake') =>
    call(operator, 'POST', `/transactions/${id}/reversal`, { reason });

  test('takes a credit back, once, and both are in the statement', async () => {
    const { id } = (await credit()).body;
    const made = await reverse(id);
    expect(made).toMatchObject({ status: 201, body: { kind: 'reversal', reverses: id } });
    expect((await reverse(id)).body.id).toBe(made.body.id);
    expect((await reverse(id, 'another reason')).status).toBe(409);
    expect((await reverse(made.body.id)).status).toBe(409);
    expect(await balances(renter)).toEqual({ 'available USDC': '0.000000' });
    const statement = (await call(renter, 'GET', '/transactions')).body.items;
    expect(statement.map(({ kind, reversedBy }: Record<string, unknown>) => [kind, reversedBy])).toEqual([
      ['reversal', null],
      ['credit', made.body.id],
    ]);
    expect((await eventsOf(renter)).at(-1)).toMatchObject({
      reason: 'LedgerReversed',
      message: expect.stringMatching('a mistake'),
    });
  });

  test('of a settlement whose hold is closed goes to what the renter can spend', async () => {
    await credit();
    await openHold('10');
    const { id } = (await settle('1', 'hour 1')).body;
    await call(operator, 'POST', `/holds/${order()}/close`);
    expect((await reverse(id)).status).toBe(201);
    expect(await balances(renter)).toEqual({ 'available USDC': '100.000000' });
    expect(await balances(supplier)).toEqual({ 'earnings IO': '0.00000000' });
  });

  test('of a hold that nothing was paid from gives all back; repeated after its end it is the same one', async () => {
    await credit();
    await openHold('10');
    const { id } = (await call(renter, 'GET', '/transactions?limit=1')).body.items[0];
    const made = (await reverse(id)).body;
    expect(await balances(renter)).toEqual({ 'available USDC': '100.000000', 'escrow USDC': '0.000000' });
    await call(operator, 'POST', `/holds/${order()}/close`);
    expect((await reverse(id)).body.id).toBe(made.id);
    expect(await balances(renter)).toEqual({ 'available USDC': '100.000000' });
  });

  test('of a hold that has gone back, or of what went back, is refused', async () => {
    await credit();
    await openHold('10');
    await call(operator, 'POST', `/holds/${order()}/close`);
    const [release, hold] = (await call(renter, 'GET', '/transactions?limit=2')).body.items;
    expect([(await reverse(release.id)).status, (await reverse(hold.id)).status]).toEqual([409, 409]);
    expect(await balances(renter)).toEqual({ 'available USDC': '100.000000' });
  });

  test('of what has been spent since is refused, and of a transaction that is not there not found', async () => {
    const { id } = (await credit()).body;
    await openHold('100');
    expect(await reverse(id)).toMatchObject({ status: 409, body: { detail: expect.stringMatching('has been spent') } });
    expect((await reverse(999_999)).status).toBe(404);
  });
});

describe('who sees what', () => {
  test('a tenant its own and the network’s entries; never the other tenant', async () => {
    await credit();
    await openHold('10');
    const { id } = (await settle('1', 'hour 1')).body;
    const seen = (await call(renter, 'GET', `/transactions/${id}`)).body;
    expect(seen.entries.map(({ kind }: { kind: string }) => kind).sort()).toEqual(
      ['escrow', 'exchange', 'exchange', 'fees'].sort(),
    );
    expect(JSON.stringify(seen)).not.toContain(supplier.tenantId);
    expect(JSON.stringify((await call(supplier, 'GET', '/transactions')).body)).not.toContain(renter.tenantId);
    expect((await call(operator, 'GET', `/transactions/${id}`)).body.entries).toHaveLength(5);
    for (const path of [`/transactions/${id}`, `/holds/${order()}`]) {
      expect((await call(stranger, 'GET', path)).status).toBe(404);
      expect((await call(operator, 'GET', path)).status).toBe(200);
    }
    expect((await call(renter, 'GET', `/holds/${order()}`)).status).toBe(200);
  });

  test('another tenant’s accounts and statement, and those of all, are for operators', async () => {
    await credit();
    for (const list of ['/accounts', '/transactions']) {
      const ofRenter = `${list}?tenantId=${renter.tenantId}`;
      expect((await call(stranger, 'GET', ofRenter)).status).toBe(403);
      expect((await call(stranger, 'GET', `${list}?all=true`)).status).toBe(403);
      expect((await call(renter, 'GET', ofRenter)).body.items).toHaveLength(1);
      expect((await call(operator, 'GET', ofRenter)).body.items).toHaveLength(1);
      expect((await call(operator, 'GET', `${list}?all=true`)).body.items.length).toBeGreaterThan(1);
      expect((await call(operator, 'GET', `${ofRenter}&all=true`)).status).toBe(400);
    }
    expect((await call(stranger, 'GET', '/accounts')).body.items).toEqual([]);
  });

  test.each([
    ['POST', '/credits', { asset: 'IO', amount: '1', reason: 'for me' }],
    ['POST', '/transactions/1/reversal', { reason: 'for me' }],
    ['POST', '/holds', {}],
    ['POST', '/holds/order-1/settlements', {}],
    ['POST', '/holds/order-1/close', undefined],
    ['GET', '/trial-balance', undefined],
    ['GET', '/check', undefined],
  ])('%s %s is refused to a tenant, for itself as well', async (method, path, body) => {
    expect((await call(renter, method, path, body && { tenantId: renter.tenantId, ...body }, 'key')).status).toBe(403);
  });

  test('a viewer sees no money', async () => {
    const viewer = await newTenantKey(ground.database, { role: 'viewer' });
    expect((await call(viewer, 'GET', '/accounts')).status).toBe(403);
  });
});

test('a statement comes in pages, newest first, and ends', async () => {
  const ids: number[] = [];
  for (const key of ['a', 'b', 'c', 'd', 'e']) ids.push((await credit('1', 'USD', `${number} ${key}`)).body.id);
  const seen: number[] = [];
  let after: string | null = null;
  do {
    const { body } = await call(renter, 'GET', `/transactions?limit=2${after === null ? '' : `&after=${after}`}`);
    seen.push(...body.items.map(({ id }: { id: number }) => id));
    after = body.next;
  } while (after !== null);
  expect(seen).toEqual(ids.reverse());
});

test('the trial balance is zero in each asset', async () => {
  await credit('1', 'USD', `trial ${number}`);
  const { body } = await call(operator, 'GET', '/trial-balance');
  expect(body.totals.length).toBeGreaterThan(0);
  for (const { balance } of body.totals) expect(balance).toMatch(/^0\.0+$/);
});

test.each([
  ['nothing', { amount: '0' }],
  ['less than nothing', { amount: '-5' }],
  ['a number', { amount: 5 }],
  ['more decimals than USDC has', { amount: '1.0000001' }],
  ['more than anybody has', { amount: '12345678901' }],
  ['an asset that is not known', { asset: 'DOGE' }],
  ['a tenant whose id is none', { tenantId: 'me' }],
  ['no reason', { reason: ' ' }],
])('a credit of %s is a 400', async (_what, change) => {
  expect((await call(operator, 'POST', '/credits', { ...creditBody(), ...change }, 'bad')).status).toBe(400);
});

test.each(['0', '-1', '1/0', 'NaN', '1e3', '0/5'])('a price of IO of %s is a 400', async usdPerIo => {
  const body = { supplierId: supplier.tenantId, costUsd: '1', usdPerIo, memo: 'hour 1' };
  expect((await call(operator, 'POST', '/holds/none/settlements', body, 'bad')).status).toBe(400);
});

test('a tenant or a hold that is not there is a 404', async () => {
  const nobody = { ...creditBody(), tenantId: 'tn_00000000000000000000' };
  expect((await call(operator, 'POST', '/credits', nobody, `nobody ${number}`)).status).toBe(404);
  expect((await settle('1', 'hour 1')).status).toBe(404);
  expect((await call(operator, 'POST', '/holds/none/close')).status).toBe(404);
});
