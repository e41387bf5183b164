/** Pay-outs through the door: second factor, addresses that wait, limits, and that nobody reaches another's. */
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { generateKeyPairSigner } from '@solana/kit';
import { authenticator } from '../accounts/index.js';
import { Http, Seal, Signer } from '../platform/index.js';
import { callWith, type TestKey } from '../test-ground.js';
import { tokenAccountOf } from './chain/build.js';
import { settlementRoutes } from './routes.js';
import { SettlementGround } from './testing/index.js';
import { codeOf, stepAt } from './totp.js';

let on: SettlementGround;
let http: Http;
let bare: Http;
let supplier: TestKey;
let stranger: TestKey;
let secret: Buffer;
/** Each code is taken once, so each comes half a minute after the one before. */
let nowMs = Date.now();
beforeAll(async () => {
  on = await SettlementGround.start({ addressWaitSeconds: 3_600, dailyLimit: { IO: '100', USDC: '100' } });
  const { database, log } = on.ground;
  const door = () => new Http(authenticator(database, new Signer('a secret of this test')), log);
  const ports = { database, seal: new Seal(Buffer.alloc(32, 1)), nowMs: () => nowMs, random: on.world.random };
  http = door();
  settlementRoutes(http, ports, on.world);
  bare = door();
  settlementRoutes(bare, ports, null);
  for (const one of [http, bare]) await new Promise<void>(ready => one.server.listen(0, '127.0.0.1', ready));
  await on.issuer.issue(on.tokens.IO, on.world.treasury, 1_000_00000000n);
  await on.turns(2);
});
beforeEach(async () => {
  supplier = await on.newTenant();
  stranger = await on.newTenant();
  await on.earn(supplier.tenantId, 500_00000000n);
  const { body } = await call(supplier, 'POST', '/second-factor', {});
  secret = fromBase32(new URL(body.uri).searchParams.get('secret') ?? '');
});
afterAll(async () => {
  for (const one of [http, bare]) {
    one?.server.closeAllConnections();
    one?.server.close();
  }
  await on?.stop();
});

const call = (key: TestKey, method: string, path: string, body?: unknown, to = http) =>
  callWith(key, method, `http://127.0.0.1:${(to.server.address() as AddressInfo).port}/v1${path}`, body);

function fromBase32(text: string): Buffer {
  const bits = [...text].map(digit => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(digit).toString(2).padStart(5, '0'));
  return Buffer.from((bits.join('').match(/.{8}/g) ?? []).map(part => Number.parseInt(part, 2)));
}

function nextCode(): string {
  nowMs += 30_000;
  return codeOf(secret, stepAt(nowMs));
}
const wrongCode = () => String((Number(nextCode()) + 1) % 1_000_000).padStart(6, '0');

async function prove(): Promise<void> {
  expect((await call(supplier, 'POST', '/second-factor/prove', { code: nextCode() })).status).toBe(200);
}

async function addWallet(): Promise<{ id: string; address: string }> {
  const { address } = await generateKeyPairSigner();
  const { body } = await call(supplier, 'POST', '/payout-addresses', { address, code: nextCode() });
  return { id: body.id, address };
}
/** As when its waiting time is over. */
const waited = () => on.ground.database.query('UPDATE payout_addresses SET usable_at = now()');
const wanted = (addressId: string, amount = '12.5') => ({ source: 'earnings', asset: 'IO', amount, addressId });

describe('a pay-out', () => {
  test('goes from its request by its confirmation to the chain, with a link to its transaction', async () => {
    await prove();
    const wallet = await addWallet();
    const early = await call(supplier, 'POST', '/payouts', wanted(wallet.id));
    expect([early.status, early.body.detail]).toEqual([409, expect.stringMatching('can be paid out to from')]);
    await waited();
    const { status, body: asked } = await call(supplier, 'POST', '/payouts', wanted(wallet.id));
    expect([status, asked.state, asked.amount]).toEqual([201, 'requested', '12.50000000']);
    await on.turns(2);
    expect(await on.issuer.balance(on.tokens.IO, wallet.address)).toBe(0n);
    const code = nextCode();
    expect((await call(supplier, 'POST', `/payouts/${asked.id}/confirm`, { code })).body.state).toBe('confirmed');
    await on.turns(3);
    const { body: paid } = await call(supplier, 'GET', `/payouts/${asked.id}`);
    expect(paid).toMatchObject({ state: 'finalized', url: `https://explorer.solana.com/tx/${paid.signature}` });
    expect(await on.issuer.balance(on.tokens.IO, wallet.address)).toBe(12_50000000n);
    expect((await call(supplier, 'GET', '/payouts')).body.items).toHaveLength(1);
  });

  test('is not confirmed by a wrong code, a code that was used, nor without a second factor; five wrong ones lock', async () => {
    expect(
      (await call(supplier, 'POST', '/payout-addresses', { address: on.issuer.signer.address, code: '123456' })).status,
    ).toBe(409);
    await prove();
    const wallet = await addWallet();
    await waited();
    const { id } = (await call(supplier, 'POST', '/payouts', wanted(wallet.id))).body;
    const used = codeOf(secret, stepAt(nowMs));
    expect((await call(supplier, 'POST', `/payouts/${id}/confirm`, { code: used })).status).toBe(403);
    for (let wrong = 0; wrong < 4; wrong++) {
      expect((await call(supplier, 'POST', `/payouts/${id}/confirm`, { code: wrongCode() })).status).toBe(403);
    }
    expect((await call(supplier, 'POST', `/payouts/${id}/confirm`, { code: nextCode() })).status).toBe(429);
    expect((await call(supplier, 'GET', `/payouts/${id}`)).body.state).toBe('requested');
  });

  test('is taken back until it is signed, and its money comes back', async () => {
    await prove();
    const wallet = await addWallet();
    await waited();
    const { id } = (await call(supplier, 'POST', '/payouts', wanted(wallet.id))).body;
    expect((await call(supplier, 'POST', `/payouts/${id}/cancel`)).body.state).toBe('cancelled');
    expect((await call(supplier, 'POST', `/payouts/${id}/confirm`, { code: nextCode() })).status).toBe(409);
    // Set aside, and nothing to send it with: the fees of a day are used up.
    const { id: second } = (await call(supplier, 'POST', '/payouts', wanted(wallet.id))).body;
    await call(supplier, 'POST', `/payouts/${second}/confirm`, { code: nextCode() });
    await on.turn({ ...on.world, terms: { ...on.terms, fees: { ...on.terms.fees, lamportsPerDay: 0n } } });
    expect(await on.problems()).toEqual([expect.stringMatching(/^fees of the last 24 hours/)]);
    expect((await on.books())[`payout:IO:${supplier.tenantId}`]).toBe(12_50000000n);
    expect((await call(supplier, 'POST', `/payouts/${second}/cancel`)).body.state).toBe('failed');
    await on.turn();
    expect((await call(supplier, 'GET', `/payouts/${second}`)).body.state).toBe('returned');
    expect((await on.books())[`earnings:IO:${supplier.tenantId}`]).toBe(500_00000000n);
    expect(await on.issuer.balance(on.tokens.IO, wallet.address)).toBe(0n);
  });

  test('stays within the limit of a day and what there is', async () => {
    await prove();
    const wallet = await addWallet();
    await waited();
    expect((await call(supplier, 'POST', '/payouts', wanted(wallet.id, '60'))).status).toBe(201);
    const over = await call(supplier, 'POST', '/payouts', wanted(wallet.id, '40.00000001'));
    expect([over.status, over.body.detail]).toEqual([409, 'of the limit of 24 hours 40.00000000 IO are left']);
    const together = await Promise.all(
      [1, 2, 3].map(() => call(supplier, 'POST', '/payouts', wanted(wallet.id, '20'))),
    );
    expect(together.map(({ status }) => status).sort()).toEqual([201, 201, 409]);
    expect((await call(supplier, 'POST', '/payouts', wanted(wallet.id, '0.5'))).status).toBe(400);
  });

  test('goes out by itself above the threshold of a schedule, once for each time', async () => {
    await prove();
    const wallet = await addWallet();
    await waited();
    const schedule = { addressId: wallet.id, threshold: '10', every: 'hour', code: nextCode() };
    expect((await call(supplier, 'PUT', '/payout-schedule', schedule)).body).toMatchObject({
      threshold: '10.00000000',
    });
    await on.ground.database.query(
      `UPDATE payout_schedules SET next_at = now() - interval '5 hours' WHERE tenant_id = $1`,
      [supplier.tenantId],
    );
    await on.turns(3);
    // All that is earned, within the limit of a day.
    expect(await on.issuer.balance(on.tokens.IO, wallet.address)).toBe(100_00000000n);
    const { body } = await call(supplier, 'GET', '/payouts');
    expect(body.items.map(({ state }: { state: string }) => state)).toEqual(['finalized']);
    expect((await call(supplier, 'DELETE', '/payout-schedule')).status).toBe(204);
    expect((await call(supplier, 'GET', '/payout-schedule')).status).toBe(404);
  });
});

test('an address that would lose the money is refused', async () => {
  await prove();
  await on.issuer.issue(on.tokens.IO, on.issuer.signer.address, 1n);
  const tokenAccount = await tokenAccountOf(on.issuer.signer.address, on.tokens.IO.mint);
  for (const address of [tokenAccount, on.tokens.IO.mint, on.world.treasury, '1'.repeat(31)]) {
    const { status } = await call(supplier, 'POST', '/payout-addresses', { address, code: nextCode() });
    expect([address, status]).toEqual([address, 400]);
  }
});

test('a tenant sees and changes nothing of another', async () => {
  await prove();
  const wallet = await addWallet();
  await waited();
  const { id } = (await call(supplier, 'POST', '/payouts', wanted(wallet.id))).body;
  const code = '123456';
  expect((await call(stranger, 'GET', `/payouts/${id}`)).status).toBe(404);
  expect((await call(stranger, 'POST', `/payouts/${id}/confirm`, { code })).status).toBe(404);
  expect((await call(stranger, 'POST', `/payouts/${id}/cancel`)).status).toBe(404);
  expect((await call(stranger, 'DELETE', `/payout-addresses/${wallet.id}`)).status).toBe(404);
  expect((await call(stranger, 'POST', '/payouts', wanted(wallet.id))).status).toBe(404);
  expect((await call(stranger, 'GET', '/payouts?all=true')).status).toBe(403);
  expect((await call(stranger, 'GET', '/settlement')).status).toBe(403);
  expect((await call(stranger, 'GET', '/payouts')).body.items).toEqual([]);
  const own = (await call(stranger, 'GET', '/deposit-address')).body.address;
  expect(own).not.toBe((await call(supplier, 'GET', '/deposit-address')).body.address);
  expect((await call(stranger, 'GET', '/deposit-address')).body.address).toBe(own);
});

test('an operator sees how it stands and takes a lost second factor away; where it is not configured, that is said', async () => {
  await prove();
  await on.turn();
  const { body } = await call(on.operator, 'GET', '/settlement');
  expect(body).toMatchObject({ configured: true, paused: false, treasury: on.world.treasury, problems: [] });
  expect(body.balances).toContainEqual(expect.objectContaining({ asset: 'IO', difference: '0.00000000' }));
  expect((await call(on.operator, 'DELETE', `/second-factors/${supplier.userId}`)).status).toBe(204);
  expect(await on.reasons(supplier)).toContain('SecondFactorDropped');
  expect((await call(on.operator, 'GET', '/settlement', undefined, bare)).body.configured).toBe(false);
  const answer = await call(supplier, 'GET', '/deposit-address', undefined, bare);
  expect([answer.status, answer.body.detail]).toEqual([503, expect.stringMatching('not configured')]);
});
