/** A billing run that is killed anywhere, and many at a time. */
import type { LeaseId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Database } from '../platform/index.js';
import { type Ground, startGround } from '../test-ground.js';
import { BillingTrial, chargeAll, chargeNext } from './testing/index.js';

jest.setTimeout(120_000);

let ground: Ground;
let on: BillingTrial;
beforeAll(async () => {
  ground = await startGround();
  on = new BillingTrial(ground.database);
});
afterAll(() => ground?.stop());

const t0 = new Date('2026-11-20T10:00:00Z');
const hour = (n: number) => new Date(t0.getTime() + n * 3_600_000);
const usd = 1_000_000n;

/** A billing run over a few orders, from usage to the refund; the same each time but for the names. */
async function run(step: (work: () => Promise<unknown>) => Promise<void>): Promise<unknown> {
  const suppliers = [await on.tenant(), await on.tenant()];
  const renters = [await on.tenant({ USDC: 50n * usd }), await on.tenant({ IO: 5_000_000_000n })];
  const orders: Awaited<ReturnType<BillingTrial['cluster']>>[] = [];
  for (const [index, renter] of renters.entries()) {
    const leases = [];
    for (const supplier of suppliers) {
      leases.push({ nodeId: await on.machine(supplier), microUsdPerHour: 777_777 + index });
    }
    orders.push(await on.cluster(renter, leases, t0));
  }
  const leaseIds = orders.flatMap(each => each.leaseIds);
  for (const [index, leaseId] of leaseIds.entries()) {
    for (let window = 0; window < 4; window += 1) {
      await on.use(leaseId, new Date(t0.getTime() + window * 900_000), 900_000 - index * 1_000 * window, 0, 900);
    }
    await on.use(leaseId, t0, -123_456 - index, 1, 900);
  }
  await on.release(leaseIds, hour(1));
  await step(async () => {
    while ((await chargeNext(victims, on.terms, { limit: 3 })) > 0);
    for (const { clusterId } of orders) await new BillingTrial(victims).close(clusterId);
  });
  return { renters: await on.balances(renters), suppliers: await on.balances(suppliers) };
}

let victims: Database;

test('killed at every commit and begun again, a run ends in the same balances', async () => {
  victims = ground.database;
  const whole = await run(async work => void (await work()));
  expect(whole).toMatchObject({ renters: expect.objectContaining({ 'available USDC': expect.any(String) }) });
  let commits = 0;
  for (let killAt = 1; ; killAt += 1) {
    for (const moment of ['before', 'after'] as const) {
      let wasKilled = false;
      const crashed = await run(async work => {
        const dying = new Database(ground.postgres.url, ground.log, 4);
        victims = dying;
        let seen = 0;
        const transaction = dying.transaction.bind(dying);
        // Its process is gone before or after the commit, as far as PostgreSQL and it can tell.
        dying.transaction = async inner => {
          seen += 1;
          if (seen > killAt) throw new Error('killed');
          const dies = seen === killAt;
          const result = await transaction(async tx => {
            const done = await inner(tx);
            if (dies && moment === 'before') throw new Error('killed');
            return done;
          });
          if (dies) throw new Error('killed');
          return result;
        };
        await work().catch(error => {
          if (error.message !== 'killed') throw error;
          wasKilled = true;
        });
        commits = Math.max(commits, seen);
        await dying.close();
        victims = ground.database;
        await work();
      });
      expect(crashed).toEqual(whole);
      if (!wasKilled) {
        expect(commits).toBeGreaterThan(7);
        expect(await on.check()).toMatchObject({ clean: true, differences: [] });
        return;
      }
    }
  }
});

test('64 that charge at a time, beside credits and corrections, charge every line once', async () => {
  const database = new Database(ground.postgres.url, ground.log, 64);
  const orders: { renter: TenantId; leaseId: LeaseId }[] = [];
  for (let count = 0; count < 8; count += 1) {
    const renter = await on.tenant({ USDC: 100n * usd });
    const nodeId = await on.machine(await on.tenant());
    const { leaseIds } = await on.cluster(renter, [{ nodeId, microUsdPerHour: 900_000 }], t0);
    orders.push({ renter, leaseId: leaseIds[0] as LeaseId });
  }
  const before = await ground.database.query<{ n: number }>('SELECT count(*)::int AS n FROM usage_charges');
  const writers = Array.from({ length: 64 }, async (_, index) => {
    const { leaseId, renter } = orders[index % orders.length] as { renter: TenantId; leaseId: LeaseId };
    const start = hour(Math.floor(index / orders.length) / 8);
    const aligned = new Date(start.getTime() - (start.getTime() % 450_000));
    await on.use(leaseId, aligned, 400_000, 0, 450);
    await chargeAll(database, on.terms);
    await on.use(leaseId, aligned, -100_000, 1, 450);
    await on.credit(renter, 'USDC', 1n);
    await chargeAll(database, on.terms);
  });
  await Promise.all(writers);
  await chargeAll(database, on.terms);
  await database.close();
  const { rows } = await ground.database.query<{ n: number }>('SELECT count(*)::int AS n FROM usage_charges');
  expect((rows[0]?.n ?? 0) - (before.rows[0]?.n ?? 0)).toBe(128);
  // Eight windows of 300 s at 0.9 USD an hour, each 0.075 USD with 2.25 % on top, rounded down: 8 × 0.076687 of 0.92025.
  for (const { renter } of orders) {
    expect(await on.balances([renter])).toEqual({ 'available USDC': '99079758', 'escrow USDC': '306754' });
  }
  expect(await on.check()).toMatchObject({ clean: true, differences: [] });
});
