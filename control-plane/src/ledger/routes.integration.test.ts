/** Who sees and does what of the ledger over HTTP, and what is refused as no amount, price or tenant. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { newTenantKey } from '../test-ground.js';
import { LedgerOverHttp } from './testing/over-http.js';

let on: LedgerOverHttp;
beforeAll(async () => {
  on = await LedgerOverHttp.start();
});
beforeEach(() => on.nextOrder());
afterAll(() => on?.stop());

describe('who sees what', () => {
  test('a tenant its own and the network’s entries; never the other tenant', async () => {
    await on.credit();
    await on.openHold('10');
    const { id } = (await on.settle('1', 'hour 1')).body;
    const seen = (await on.call(on.renter, 'GET', `/transactions/${id}`)).body;
    expect(seen.entries.map(({ kind }: { kind: string }) => kind).sort()).toEqual(
      ['escrow', 'exchange', 'exchange', 'fees'].sort(),
    );
    expect(JSON.stringify(seen)).not.toContain(on.supplier.tenantId);
    expect(JSON.stringify((await on.call(on.supplier, 'GET', '/transactions')).body)).not.toContain(on.renter.tenantId);
    expect((await on.call(on.operator, 'GET', `/transactions/${id}`)).body.entries).toHaveLength(5);
    for (const path of [`/transactions/${id}`, `/holds/${on.order}`]) {
      expect((await on.call(on.stranger, 'GET', path)).status).toBe(404);
      expect((await on.call(on.operator, 'GET', path)).status).toBe(200);
    }
    expect((await on.call(on.renter, 'GET', `/holds/${on.order}`)).status).toBe(200);
  });

  test('another tenant’s accounts and statement, and those of all, are for operators', async () => {
    await on.credit();
    for (const list of ['/accounts', '/transactions']) {
      const ofRenter = `${list}?tenantId=${on.renter.tenantId}`;
      expect((await on.call(on.stranger, 'GET', ofRenter)).status).toBe(403);
      expect((await on.call(on.stranger, 'GET', `${list}?all=true`)).status).toBe(403);
      expect((await on.call(on.renter, 'GET', ofRenter)).body.items).toHaveLength(1);
      expect((await on.call(on.operator, 'GET', ofRenter)).body.items).toHaveLength(1);
      expect((await on.call(on.operator, 'GET', `${list}?all=true`)).body.items.length).toBeGreaterThan(1);
      expect((await on.call(on.operator, 'GET', `${ofRenter}&all=true`)).status).toBe(400);
    }
    expect((await on.call(on.stranger, 'GET', '/accounts')).body.items).toEqual([]);
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
    expect(
      (await on.call(on.renter, method, path, body && { tenantId: on.renter.tenantId, ...body }, 'key')).status,
    ).toBe(403);
  });

  test('a viewer sees no money', async () => {
    const viewer = await newTenantKey(on.ground.database, { role: 'viewer' });
    expect((await on.call(viewer, 'GET', '/accounts')).status).toBe(403);
  });
});

test('a statement comes in pages, newest first, and ends', async () => {
  const ids: number[] = [];
  for (const key of ['a', 'b', 'c', 'd', 'e']) ids.push((await on.credit('1', 'USD', `${on.number} ${key}`)).body.id);
  const seen: number[] = [];
  let after: string | null = null;
  do {
    const { body } = await on.call(on.renter, 'GET', `/transactions?limit=2${after === null ? '' : `&after=${after}`}`);
    seen.push(...body.items.map(({ id }: { id: number }) => id));
    after = body.next;
  } while (after !== null);
  expect(seen).toEqual(ids.reverse());
});

test('the trial balance is zero in each asset', async () => {
  await on.credit('1', 'USD', `trial ${on.number}`);
  const { body } = await on.call(on.operator, 'GET', '/trial-balance');
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
  expect((await on.call(on.operator, 'POST', '/credits', { ...on.creditBody(), ...change }, 'bad')).status).toBe(400);
});

test.each(['0', '-1', '1/0', 'NaN', '1e3', '0/5'])('a price of IO of %s is a 400', async usdPerIo => {
  const body = { supplierId: on.supplier.tenantId, costUsd: '1', usdPerIo, memo: 'hour 1' };
  expect((await on.call(on.operator, 'POST', '/holds/none/settlements', body, 'bad')).status).toBe(400);
});

test('a tenant or a hold that is not there is a 404', async () => {
  const nobody = { ...on.creditBody(), tenantId: 'tn_00000000000000000000' };
  expect((await on.call(on.operator, 'POST', '/credits', nobody, `nobody ${on.number}`)).status).toBe(404);
  expect((await on.settle('1', 'hour 1')).status).toBe(404);
  expect((await on.call(on.operator, 'POST', '/holds/none/close')).status).toBe(404);
});
