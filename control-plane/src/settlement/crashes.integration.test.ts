/**
 * Settlement killed at every step: each writing transaction is first rolled back at its end and then, in the next turn,
 * committed with a crash right behind it; each transaction of the chain has one crash before it is sent and one after.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { generateKeyPairSigner } from '@solana/kit';
import type { Transaction } from '../platform/index.js';
import { SettlementGround } from './testing/index.js';
import type { World } from './world.js';

class Crash extends Error {}

let on: SettlementGround;
beforeAll(async () => {
  on = await SettlementGround.start({ leastSweep: { IO: '1', USDC: '1' } });
});
afterAll(() => on?.stop());

/** What a crash has been through already; the rest is lost with the process. */
interface Visited {
  rolledBack: boolean;
  commits: number;
  sends: Set<string>;
}

function dying(world: World, visited: Visited): World {
  // Counts what the connection has not reported yet, older transactions too: what counts is the change from first to last.
  const changes = async (tx: Transaction) => {
    const { rows } = await tx.query<{ changes: number }>(
      'SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int AS changes FROM pg_stat_xact_user_tables',
    );
    return rows[0]?.changes ?? 0;
  };
  const transaction = async <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => {
    let wrote = false;
    const result = await world.database.transaction(async tx => {
      const before = await changes(tx);
      const inner = await work(tx);
      wrote = (await changes(tx)) > before;
      if (wrote && !visited.rolledBack) {
        visited.rolledBack = true;
        throw new Crash('before the commit');
      }
      return inner;
    });
    if (!wrote) return result;
    visited.rolledBack = false;
    visited.commits += 1;
    throw new Crash('after the commit');
  };
  const send = async (bytes: Uint8Array) => {
    const key = Buffer.from(bytes).toString('base64');
    if (!visited.sends.has(`before ${key}`)) {
      visited.sends.add(`before ${key}`);
      throw new Crash('before sending');
    }
    await world.chain.send(bytes);
    if (visited.sends.has(`after ${key}`)) return;
    visited.sends.add(`after ${key}`);
    throw new Crash('after sending');
  };
  const instead = <T extends object>(target: T, methods: Record<string, unknown>): T =>
    new Proxy(target, {
      get: (of, name) => {
        const value = methods[String(name)] ?? Reflect.get(of, name);
        return typeof value === 'function' && !(String(name) in methods) ? value.bind(of) : value;
      },
    });
  return { ...world, database: instead(world.database, { transaction }), chain: instead(world.chain, { send }) };
}

test('a kill after every commit, before every commit and around every send changes nothing of what comes out', async () => {
  const renter = await on.newTenant();
  const supplier = await on.newTenant();
  const wallets = await Promise.all([0, 1, 2].map(async () => (await generateKeyPairSigner()).address));
  const [first = '', second = '', third = ''] = wallets;
  await on.issuer.issue(on.tokens.IO, on.world.treasury, 100_00000000n);
  await on.issuer.issue(on.tokens.IO, await on.depositAddress(renter.tenantId), 50_00000003n);
  await on.earn(supplier.tenantId, 20_00000000n);
  await on.payout(supplier.tenantId, 7_00000001n, first);
  await on.payout(supplier.tenantId, 8_00000002n, second);
  const visited: Visited = { rolledBack: false, commits: 0, sends: new Set() };
  let crashes = 0;
  for (let quiet = 0; quiet < 3; ) {
    if (crashes === 20) await on.payout(renter.tenantId, 40_00000000n, third, 'available');
    const before = visited.commits + visited.sends.size;
    const { rows } = await on.ground.database.query<{ at: Date }>('SELECT at FROM settlement_turns');
    await expect(on.turn(dying(on.world, visited))).rejects.toThrow(/^(before|after) (the commit|sending)$/);
    crashes += 1;
    // A turn that got as far as its conclusion and did nothing else on the way has found nothing to do.
    const { rows: after } = await on.ground.database.query<{ at: Date }>('SELECT at FROM settlement_turns');
    const onlyConcluded = rows[0]?.at.getTime() !== after[0]?.at.getTime();
    quiet = onlyConcluded && visited.commits + visited.sends.size === before + 1 && crashes > 30 ? quiet + 1 : quiet;
    expect(crashes).toBeLessThan(200);
  }
  expect(await on.states()).toEqual(['finalized', 'finalized', 'finalized']);
  const balances = await Promise.all(wallets.map(address => on.issuer.balance(on.tokens.IO, address)));
  expect(balances).toEqual([7_00000001n, 8_00000002n, 40_00000000n]);
  expect(await on.issuer.balance(on.tokens.IO, on.world.treasury)).toBe(150_00000003n - 55_00000003n);
  expect(await on.books()).toEqual({
    'chain:IO': -95_00000000n,
    'exchange:IO': 80_00000000n,
    [`available:IO:${renter.tenantId}`]: 10_00000003n,
    [`earnings:IO:${supplier.tenantId}`]: 4_99999997n,
  });
  expect(await on.ledgerIsClean()).toBe(true);
  const { rows: differences } = await on.ground.database.query('SELECT * FROM settlement_differences');
  expect(differences).toEqual([]);
  // Every pay-out, sweep and set-up was really sent under fire.
  expect(visited.sends.size).toBeGreaterThanOrEqual(8);
  expect(visited.commits).toBeGreaterThan(15);
});
