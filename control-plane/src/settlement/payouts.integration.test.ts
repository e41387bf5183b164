/** Pay-outs on the real programs: to the unit, once, whatever the node does. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { generateKeyPairSigner } from '@solana/kit';
import type { TestKey } from '../test-ground.js';
import { SettlementGround } from './testing/index.js';

let on: SettlementGround;
let supplier: TestKey;
let wallet: string;
beforeAll(async () => {
  on = await SettlementGround.start();
  await on.issuer.issue(on.tokens.IO, on.world.treasury, 1_000_00000000n);
  await on.turns(2);
});
beforeEach(async () => {
  supplier = await on.newTenant();
  wallet = (await generateKeyPairSigner()).address;
});
afterAll(() => on?.stop());

const received = () => on.issuer.balance(on.tokens.IO, wallet);
const sends = () => on.rpc.calls.filter(method => method === 'sendTransaction').length;

describe('a pay-out', () => {
  test('is on the chain to the unit, and its money has left the books', async () => {
    await on.earn(supplier.tenantId, 5_00000007n);
    const id = await on.payout(supplier.tenantId, 3_00000001n, wallet);
    await on.turns();
    expect(await on.payoutState(id)).toMatchObject({ state: 'finalized', signature: expect.any(String) });
    expect(await received()).toBe(3_00000001n);
    expect((await on.books())[`earnings:IO:${supplier.tenantId}`]).toBe(2_00000006n);
    expect((await on.books())[`payout:IO:${supplier.tenantId}`]).toBeUndefined();
    expect(await on.reasons(supplier)).toEqual(['PayoutReserved', 'PayoutFinalized']);
    expect(await on.ledgerIsClean()).toBe(true);
    expect(await on.problems()).toEqual([]);
  });

  test('of more than there is is refused, and nothing moves', async () => {
    await on.earn(supplier.tenantId, 100n);
    const id = await on.payout(supplier.tenantId, 101n, wallet);
    await on.turns();
    expect(await on.payoutState(id)).toMatchObject({
      state: 'refused',
      reason: expect.stringMatching('has less than'),
    });
    expect((await on.books())[`earnings:IO:${supplier.tenantId}`]).toBe(100n);
  });

  test('goes together with others, six to a transaction', async () => {
    const wallets = await Promise.all(Array.from({ length: 8 }, async () => (await generateKeyPairSigner()).address));
    await on.earn(supplier.tenantId, 36n);
    const before = on.rpc.chain.executed.length;
    for (const [index, address] of wallets.entries()) await on.payout(supplier.tenantId, BigInt(index + 1), address);
    await on.turns();
    const amounts = await Promise.all(wallets.map(address => on.issuer.balance(on.tokens.IO, address)));
    expect(amounts).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]);
    expect(on.rpc.chain.executed.length - before).toBe(2);
  });

  test('whose node answers nothing after it has taken it is paid once', async () => {
    await on.earn(supplier.tenantId, 10n);
    const id = await on.payout(supplier.tenantId, 10n, wallet);
    on.rpc.intercept = (method, moment) => {
      if (method === 'sendTransaction' && moment === 'after') throw new Error('gateway timeout');
    };
    await expect(on.turn()).rejects.toThrow('no answer');
    expect((await on.payoutState(id)).state).toBe('signed');
    on.rpc.intercept = () => undefined;
    await on.turns();
    expect([await received(), (await on.payoutState(id)).state]).toEqual([10n, 'finalized']);
  });

  test('that the node has lost is sent again, with the same bytes', async () => {
    await on.earn(supplier.tenantId, 10n);
    const id = await on.payout(supplier.tenantId, 10n, wallet);
    on.rpc.holding = true;
    await on.turns(2);
    const { signature } = await on.payoutState(id);
    on.rpc.dropFork();
    await on.turns(2);
    expect(await on.payoutState(id)).toMatchObject({ state: 'sent', signature });
    expect(await received()).toBe(0n);
    on.rpc.holding = false;
    on.rpc.finalize();
    const before = sends();
    await on.turns(2);
    expect(await on.payoutState(id)).toMatchObject({ state: 'finalized', signature });
    expect([await received(), sends() - before]).toEqual([10n, 0]);
  });

  test('that does not get in for long is made impossible first and then goes anew', async () => {
    await on.earn(supplier.tenantId, 10n);
    const id = await on.payout(supplier.tenantId, 10n, wallet);
    on.rpc.holding = true;
    await on.turn();
    const first = await on.payoutState(id);
    on.rpc.dropFork();
    await on.ground.database.query(
      `UPDATE chain_transactions SET signed_at = now() - interval '1 hour' WHERE state IN ('signed', 'sent')`,
    );
    await on.turn();
    // The advance is on record and wins; the pay-out's own bytes come to the node too late.
    const [advance] = (
      await on.ground.database.query<{ bytes: Buffer }>(`SELECT bytes FROM chain_transactions WHERE kind = 'advance'`)
    ).rows;
    on.rpc.dropFork();
    on.rpc.holding = false;
    on.rpc.chain.execute(new Uint8Array(advance?.bytes ?? []));
    await on.turns();
    const second = await on.payoutState(id);
    expect([second.state, second.signature === first.signature]).toEqual(['finalized', false]);
    expect(await received()).toBe(10n);
    const { rows } = await on.ground.database.query<{ bytes: Buffer }>(
      'SELECT bytes FROM chain_transactions WHERE signature = $1',
      [first.signature],
    );
    expect(on.rpc.chain.execute(new Uint8Array(rows[0]?.bytes ?? []))).toHaveProperty('refused');
    expect(await received()).toBe(10n);
  });
});

describe('a receiver that cannot take it', () => {
  /** Its associated account is someone else's by now, so that the transfer's account cannot be made out. */
  const broken = async () => {
    const stranger = await generateKeyPairSigner();
    await on.issuer.issue(on.tokens.IO, stranger.address, 1n);
    await on.giveAway(on.tokens.IO, stranger);
    return stranger.address;
  };

  test('gets its money back in the books, and takes no other with it', async () => {
    await on.earn(supplier.tenantId, 30n);
    const bad = await on.payout(supplier.tenantId, 10n, await broken());
    const good = await on.payout(supplier.tenantId, 20n, wallet);
    await on.turns(5);
    expect(await on.payoutState(bad)).toMatchObject({ state: 'returned' });
    expect(await on.payoutState(good)).toMatchObject({ state: 'finalized' });
    expect([await received(), (await on.books())[`earnings:IO:${supplier.tenantId}`]]).toEqual([20n, 10n]);
    expect(await on.reasons(supplier)).toContain('PayoutReturned');
  });

  test('also where it breaks only after the trial, on the chain', async () => {
    await on.earn(supplier.tenantId, 30n);
    const stranger = await generateKeyPairSigner();
    await on.issuer.issue(on.tokens.IO, stranger.address, 1n);
    const bad = await on.payout(supplier.tenantId, 10n, stranger.address);
    const good = await on.payout(supplier.tenantId, 20n, wallet);
    on.rpc.holding = true;
    await on.turn();
    on.rpc.holding = false;
    await on.giveAway(on.tokens.IO, stranger);
    on.rpc.finalize();
    await on.turns(5);
    expect(await on.payoutState(bad)).toMatchObject({ state: 'returned' });
    expect([await received(), (await on.payoutState(good)).state]).toEqual([20n, 'finalized']);
    expect((await on.books())[`earnings:IO:${supplier.tenantId}`]).toBe(10n);
  });
});

test('without SOL or tokens nothing is signed, it is said, and it goes on by itself', async () => {
  await on.earn(supplier.tenantId, 2_000_00000000n);
  const id = await on.payout(supplier.tenantId, 1_500_00000000n, wallet);
  await on.turns(2);
  expect(await on.problems()).toEqual([expect.stringMatching(/^the treasury lacks IO/)]);
  expect((await on.payoutState(id)).state).toBe('reserved');
  await on.issuer.issue(on.tokens.IO, on.world.treasury, 1_000_00000000n);
  await on.turns();
  expect([(await on.payoutState(id)).state, await received()]).toEqual(['finalized', 1_500_00000000n]);
  expect((await on.reasons(on.operator)).filter(reason => reason === 'SettlementProblem').length).toBeGreaterThan(0);
  expect(await on.ledgerIsClean()).toBe(true);
});
