/** Who sees and sets what of billing over HTTP. */
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { authenticator, getTenant } from '../accounts/index.js';
import { Http, Signer } from '../platform/index.js';
import { callWith, type Ground, newTenantKey, startGround, type TestKey } from '../test-ground.js';
import { billingRoutes } from './routes.js';
import { BillingTrial } from './testing/index.js';

let ground: Ground;
let http: Http;
let on: BillingTrial;
let [operator, owner, stranger, member, viewer]: TestKey[] = [];
const now = new Date('2026-11-20T12:30:00Z');

beforeAll(async () => {
  ground = await startGround();
  const { database, log } = ground;
  on = new BillingTrial(database);
  http = new Http(authenticator(database, new Signer('a secret of this test')), log);
  billingRoutes(http, { database, terms: on.terms, now: () => now, demandTenant: getTenant });
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  operator = await newTenantKey(database, { role: 'operator' });
  owner = await newTenantKey(database);
  stranger = await newTenantKey(database);
  member = await newTenantKey(database, { role: 'member' });
  viewer = await newTenantKey(database, { role: 'viewer' });
});
afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await ground?.stop();
});

function call(key: TestKey | undefined, method: string, query = '', body?: unknown) {
  const base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
  return callWith(key, method, `${base}/v1/billing${query}`, body);
}
const ofOwner = () => `?tenantId=${owner?.tenantId}`;

test('an owner sets what it pays in and its caps, each for itself; an operator does so for others', async () => {
  expect((await call(owner, 'GET')).body).toMatchObject({
    mode: 'prepaid',
    paysIn: ['IO', 'USDC', 'USD', 'IOSD'],
    dayCapMicroUsd: null,
    microUsdPerHour: 0,
    hoursLeft: null,
    orders: [],
  });
  expect((await call(owner, 'PATCH', '', { paysIn: ['USDC'], dayCapMicroUsd: 5_000_000 })).status).toBe(200);
  expect((await call(operator, 'PATCH', ofOwner(), { monthCapMicroUsd: 9_000_000 })).status).toBe(200);
  const changed = { paysIn: ['USDC'], dayCapMicroUsd: 5_000_000, monthCapMicroUsd: 9_000_000 };
  expect((await call(owner, 'GET')).body).toMatchObject(changed);
  expect((await call(owner, 'PATCH', '', { dayCapMicroUsd: null })).body).toMatchObject({
    ...changed,
    dayCapMicroUsd: null,
  });
  expect((await call(stranger, 'GET')).body).toMatchObject({ dayCapMicroUsd: null, monthCapMicroUsd: null });
});

test('nobody else sees or sets it', async () => {
  expect((await call(stranger, 'GET', ofOwner())).status).toBe(403);
  expect((await call(stranger, 'PATCH', ofOwner(), { dayCapMicroUsd: 1 })).status).toBe(403);
  expect((await call(member, 'GET')).status).toBe(200);
  expect((await call(member, 'PATCH', '', { dayCapMicroUsd: 1 })).status).toBe(403);
  expect((await call(viewer, 'GET')).status).toBe(403);
  expect((await call(operator, 'GET', '?tenantId=tn_00000000000000000000')).status).toBe(404);
});

test.each([
  ['less than nothing', { dayCapMicroUsd: -1 }],
  ['half a unit', { dayCapMicroUsd: 0.5 }],
  ['no asset', { paysIn: [] }],
  ['an asset that is not known', { paysIn: ['DOGE'] }],
  ['an asset twice', { paysIn: ['IO', 'IO'] }],
  ['what is not known', { cap: 5 }],
])('%s is a 400', async (_what, body) => {
  expect((await call(owner, 'PATCH', '', body)).status).toBe(400);
});

test('what runs is shown with what is held, what is spent and for how long the money lasts', async () => {
  const renter = await newTenantKey(ground.database);
  await on.credit(renter.tenantId, 'USDC', 3_067_500n);
  const nodeId = await on.machine(await on.tenant());
  const start = new Date('2026-11-20T11:00:00Z');
  const { clusterId, leaseIds } = await on.cluster(renter.tenantId, [{ nodeId, microUsdPerHour: 1_000_000 }], start);
  await on.use(leaseIds[0] as never, start, 3_600_000);
  await on.charge();
  await on.use(leaseIds[0] as never, new Date('2026-11-19T23:00:00Z'), 360_000);
  expect((await call(renter, 'GET')).body).toMatchObject({
    spentTodayMicroUsd: 1_000_000,
    spentThisMonthMicroUsd: 1_000_000,
    accruedMicroUsd: 500_000,
    microUsdPerHour: 1_000_000,
    // Three dollars less one charged and a half that is not charged yet.
    hoursLeft: 1.5,
    orders: [{ id: clusterId, clusterId, asset: 'USDC', held: '0.000000', paidUntil: null }],
    waitingLines: 1,
    waitingReason: null,
  });
  on.terms.usdPerIo = null;
  expect((await call(renter, 'GET')).body.waitingReason).toMatch('no usable price of IO');
  on.terms.usdPerIo = '1.85';
  await on.charge();
  expect((await call(renter, 'GET')).body).toMatchObject({
    spentTodayMicroUsd: 1_000_000,
    spentThisMonthMicroUsd: 1_100_000,
  });
});
