/** Deposits and reconciliation on the real programs. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { generateKeyPairSigner } from '@solana/kit';
import type { TestKey } from '../test-ground.js';
import { SettlementGround } from './testing/index.js';

let on: SettlementGround;
let renter: TestKey;
let to: string;
beforeAll(async () => {
  on = await SettlementGround.start({ leastDeposit: { IO: '1', USDC: '1' }, leastSweep: { IO: '2', USDC: '2' } });
  await on.turn();
});
beforeEach(async () => {
  renter = await on.newTenant();
  to = await on.depositAddress(renter.tenantId);
});
afterAll(() => on?.stop());

const availableNow = async (asset = 'IO') => (await on.books())[`available:${asset}:${renter.tenantId}`] ?? 0n;
const openDifferences = async () =>
  (await on.ground.database.query('SELECT 1 FROM settlement_differences WHERE cleared_at IS NULL')).rows.length;

describe('a deposit', () => {
  test('is credited once, to the unit, in IO and in USDC', async () => {
    await on.issuer.issue(on.tokens.IO, to, 1_23456789n);
    await on.issuer.issue(on.tokens.USDC, to, 2_500001n);
    await on.turns();
    expect([await availableNow(), await availableNow('USDC')]).toEqual([1_23456789n, 2_500001n]);
    expect(await on.reasons(renter)).toEqual(['DepositCredited', 'DepositCredited']);
    expect(await openDifferences()).toBe(0);
  });

  test('that a person sends out of a wallet counts as what arrived', async () => {
    const wallet = await generateKeyPairSigner();
    await on.issuer.issue(on.tokens.IO, wallet.address, 10_00000000n);
    await on.issuer.move(on.tokens.IO, wallet, to, 4_00000000n);
    await on.turns(1);
    expect(await availableNow()).toBe(4_00000000n);
  });

  test('that is confirmed and not yet final is not there; one on a fork that loses never was', async () => {
    on.rpc.holding = true;
    await on.issuer.issue(on.tokens.IO, to, 3_00000000n);
    await on.turns(2);
    expect(await availableNow()).toBe(0n);
    on.rpc.dropFork();
    on.rpc.holding = false;
    await on.turns(2);
    expect([await availableNow(), await on.reasons(renter)]).toEqual([0n, []]);
  });

  test('of too little waits for the next ones and is credited with them', async () => {
    await on.issuer.issue(on.tokens.IO, to, 40000000n);
    await on.turns(2);
    expect([await availableNow(), await on.reasons(renter), await openDifferences()]).toEqual([
      0n,
      ['DepositSmall'],
      0,
    ]);
    await on.issuer.issue(on.tokens.IO, to, 60000001n);
    await on.turns(2);
    expect(await availableNow()).toBe(1_00000001n);
    expect(await on.reasons(renter)).toEqual(['DepositSmall', 'DepositCredited', 'DepositCredited']);
  });

  test('of another mint in the same transaction is ignored, and said', async () => {
    const other = await on.issuer.mint(8);
    const both = [
      ...(await on.issuer.issuing(other, to, 9_00000000n)),
      ...(await on.issuer.issuing(on.tokens.IO, to, 1_00000000n)),
    ];
    await on.issuer.send(both);
    await on.turns(2);
    expect(await availableNow()).toBe(1_00000000n);
    expect((await on.reasons(renter)).sort()).toEqual(['DepositCredited', 'DepositIgnored']);
  });

  test('is taken to the treasury, and the books do not move', async () => {
    const before = await on.issuer.balance(on.tokens.IO, on.world.treasury);
    await on.issuer.issue(on.tokens.IO, to, 2_50000000n);
    await on.turns(3);
    expect(await on.issuer.balance(on.tokens.IO, to)).toBe(0n);
    expect((await on.issuer.balance(on.tokens.IO, on.world.treasury)) - before).toBeGreaterThanOrEqual(2_50000000n);
    expect([await availableNow(), await openDifferences()]).toEqual([2_50000000n, 0]);
    await on.issuer.issue(on.tokens.IO, to, 2_00000000n);
    await on.turns(3);
    expect([await availableNow(), await on.issuer.balance(on.tokens.IO, to)]).toEqual([4_50000000n, 0n]);
  });

  test('that the node shows late, behind newer ones, is found all the same', async () => {
    const signature = await on.issuer.issue(on.tokens.IO, to, 1_50000000n);
    const { executed } = on.rpc.chain;
    const [late] = executed.splice(
      executed.findIndex(one => one.signature === signature),
      1,
    );
    await on.issuer.issue(on.tokens.IO, to, 1_00000000n);
    await on.turn();
    expect(await availableNow()).toBe(1_00000000n);
    if (late) executed.splice(executed.length - 1, 0, late);
    await on.turns(2);
    expect([await availableNow(), await openDifferences()]).toEqual([2_50000000n, 0]);
  });
});

describe('a chain that does not agree with the ledger', () => {
  test('raises the alarm and stops pay-outs until it is acknowledged; another difference raises it again', async () => {
    await on.issuer.issue(on.tokens.IO, on.world.treasury, 20_00000000n);
    await on.turns(2);
    await on.earn(renter.tenantId, 3_00000000n);
    const wallet = (await generateKeyPairSigner()).address;
    await on.steal(on.tokens.IO, 5_00000000n);
    const id = await on.payout(renter.tenantId, 3_00000000n, wallet);
    await on.turns(2);
    expect(await openDifferences()).toBe(1);
    expect((await on.payoutState(id)).state).toBe('reserved');
    const { rows } = await on.ground.database.query<{ severity: string; message: string }>(
      `SELECT severity, message FROM events WHERE reason = 'SettlementDiffers' ORDER BY sequence`,
    );
    expect(rows.at(-1)).toEqual({
      severity: 'error',
      message: expect.stringMatching('a difference of -5.00000000 IO'),
    });
    await on.ground.database.query(`UPDATE settlement_differences SET acknowledged_at = now(), acknowledged_by = 'x'`);
    await on.turns(3);
    expect([(await on.payoutState(id)).state, await on.issuer.balance(on.tokens.IO, wallet)]).toEqual([
      'finalized',
      3_00000000n,
    ]);
    await on.steal(on.tokens.IO, 1_00000000n);
    await on.turn();
    expect(await on.problems()).toContain('pay-outs and sweeps are paused: chain and ledger differ');
  });

  test('and clears it when it agrees again', async () => {
    await on.steal(on.tokens.IO, -6_00000000n);
    await on.turn();
    expect(await openDifferences()).toBe(0);
    expect(await on.reasons(on.operator)).toContain('SettlementAgrees');
  });
});
