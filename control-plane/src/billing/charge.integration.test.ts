/** Usage lines become charges and postings, once each, in whatever order they come. */
import type { LeaseId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Ground, startGround } from '../test-ground.js';
import { BillingTrial, Charging } from './testing/index.js';

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

/** A renter with money, a supplier and a lease of it, in an order. */
async function order(price = 1_234_567, money = { USDC: 100n * usd }) {
  const renter = await on.tenant(money);
  const supplier = await on.tenant();
  const made = await on.cluster(renter, [{ nodeId: await on.machine(supplier), microUsdPerHour: price }], t0);
  return { renter, supplier, ...made, leaseId: made.leaseIds[0] as LeaseId };
}

async function charges(leaseId: LeaseId) {
  const { rows } = await ground.database.query(
    `SELECT c.cost_micro_usd, c.reason, c.usd_per_io, c.transaction_id IS NOT NULL AS paid, c.renter_short, c.supplier_short
     FROM usage_charges c JOIN usage_lines u ON u.id = c.usage_line_id WHERE u.lease_id = $1 ORDER BY u.id`,
    [leaseId],
  );
  return rows;
}

describe('a line of usage', () => {
  test('is charged to the unit as documented, once, and the rest of the hold goes back', async () => {
    const { renter, supplier, leaseId, clusterId } = await order();
    expect(await on.balances([renter])).toEqual({ 'available USDC': '98737655', 'escrow USDC': '1262345' });
    await on.use(leaseId, t0, 3_600_000);
    await on.charge();
    await on.charge();
    expect(await charges(leaseId)).toEqual([
      { cost_micro_usd: 1_234_567, reason: '', usd_per_io: '185/100', paid: true, renter_short: 0, supplier_short: 0 },
    ]);
    expect(await on.balances([renter])).toEqual({ 'available USDC': '98737655', 'escrow USDC': '1' });
    expect(await on.balances([supplier])).toEqual({ 'earnings IO': '66566486' });
    expect(await on.close(clusterId)).toBe(false);
    await on.release([leaseId], hour(1));
    expect(await on.close(clusterId)).toBe(true);
    expect(await on.close(clusterId)).toBe(false);
    expect(await on.balances([renter])).toEqual({ 'available USDC': '98737656' });
    expect(await on.check()).toMatchObject({ clean: true, differences: [] });
  });

  test('on the renter’s own machine, and one made while billing was off, costs nothing', async () => {
    const renter = await on.tenant();
    const own = await on.cluster(renter, [{ nodeId: await on.machine(renter), microUsdPerHour: 5, isOwn: true }], t0);
    on.terms.mode = 'off';
    const nodeId = await on.machine(await on.tenant());
    const off = await on.cluster(renter, [{ nodeId, microUsdPerHour: 1_000_000 }], t0);
    on.terms.mode = 'prepaid';
    await on.use(own.leaseIds[0] as LeaseId, t0, 3_600_000);
    await on.use(off.leaseIds[0] as LeaseId, t0, 1_800_000);
    await on.charge();
    expect(await charges(own.leaseIds[0] as LeaseId)).toMatchObject([
      { cost_micro_usd: 0, paid: false, reason: 'the machine is the renter’s own' },
    ]);
    expect(await charges(off.leaseIds[0] as LeaseId)).toMatchObject([
      { cost_micro_usd: 500_000, paid: false, reason: expect.stringMatching('billing was off') },
    ]);
    expect((await on.check()).differences).toEqual([]);
  });

  test('waits while there is no usable price of IO, and what needs none does not wait', async () => {
    const { leaseId } = await order();
    on.terms.usdPerIo = null;
    await on.use(leaseId, t0, 3_600_000);
    await on.use(leaseId, hour(1), 0);
    await on.charge();
    expect(await charges(leaseId)).toMatchObject([{ cost_micro_usd: 0, paid: false }]);
    expect((await on.check()).differences).toEqual([]);
    on.terms.usdPerIo = '1.85';
    await on.charge();
    expect(await charges(leaseId)).toHaveLength(2);
  });

  test('that comes to less than a unit is charged with a reason, and its pieces come to what the whole does', async () => {
    const { supplier, leaseId } = await order(100);
    for (const [revision, ms] of [10_000, 20_000, 30_000, 3_540_000].entries()) {
      await on.use(leaseId, t0, ms, revision);
      await on.charge();
    }
    expect((await charges(leaseId)).map(({ cost_micro_usd, reason }) => [cost_micro_usd, reason])).toEqual([
      [0, 'comes to less than a micro-USD'],
      [0, 'comes to less than a micro-USD'],
      [1, ''],
      [99, ''],
    ]);
    // 99 µUSD (100 less a quarter of a percent, rounded down) at 1.85.
    expect(await on.balances([supplier])).toEqual({ 'earnings IO': '5351' });
    expect((await on.check()).differences).toEqual([]);
  });
});

describe('a correction', () => {
  test('in the renter’s favour takes back exactly what was paid too much, and keeps the window’s price of IO', async () => {
    const [once, twice] = [await order(), await order()];
    await on.use(once.leaseId, t0, 1_000_000);
    await on.use(twice.leaseId, t0, 3_600_000);
    await on.charge();
    on.terms.usdPerIo = '2.5';
    await on.use(twice.leaseId, t0, -2_600_000, 1);
    await on.charge();
    on.terms.usdPerIo = '1.85';
    expect(await on.balances([twice.renter])).toEqual(await on.balances([once.renter]));
    expect(await on.balances([twice.supplier])).toEqual(await on.balances([once.supplier]));
    const { rows } = await ground.database.query(
      `SELECT kind FROM ledger_transactions WHERE detail->>'lease' = $1 ORDER BY id`,
      [twice.leaseId],
    );
    expect(rows.map(({ kind }) => kind)).toEqual(['settlement', 'correction']);
    expect((await on.check()).differences).toEqual([]);
  });

  test('that comes after the end goes to what the renter has available, and is taken from it', async () => {
    const { renter, leaseId, clusterId } = await order();
    await on.use(leaseId, t0, 3_600_000);
    await on.charge();
    await on.release([leaseId], hour(1));
    expect(await on.close(clusterId)).toBe(true);
    await on.use(leaseId, t0, -3_600_000, 1);
    await on.charge();
    expect(await on.balances([renter])).toEqual({ 'available USDC': '100000000' });
    await on.use(leaseId, t0, 3_600_000, 2);
    await on.charge();
    expect(await on.balances([renter])).toEqual({ 'available USDC': '98737656' });
    expect((await on.check()).differences).toEqual([]);
  });

  test('of what the supplier no longer has, the network bears the rest, and gets it back first', async () => {
    const { renter, supplier, leaseId } = await order();
    await on.use(leaseId, t0, 3_600_000);
    await on.charge();
    await moveAway(supplier, 'earnings', 'IO', 60_000_000n);
    await on.use(leaseId, t0, -3_600_000, 1);
    await on.charge();
    expect((await charges(leaseId)).at(-1)).toMatchObject({ cost_micro_usd: -1_234_567, supplier_short: 60_000_000 });
    expect(await on.balances([supplier])).toEqual({});
    expect(await on.balances([renter])).toEqual({ 'available USDC': '98737655', 'escrow USDC': '1262345' });
    expect((await on.check()).differences).toEqual([]);
    await on.use(leaseId, t0, 3_600_000, 2);
    await on.charge();
    expect((await charges(leaseId)).at(-1)).toMatchObject({ supplier_short: -60_000_000 });
    expect(await on.balances([supplier])).toEqual({ 'earnings IO': '6566486' });
    expect((await on.balances())['adjustments IO']).toBeUndefined();
    expect((await on.check()).differences).toEqual([]);
  });

  test('that nobody has the money for is borne by the network, and never makes an account negative', async () => {
    const { renter, supplier, leaseId } = await order(1_000_000, { USDC: 1_022_500n });
    await on.use(leaseId, t0, 1_800_000);
    await on.use(leaseId, hour(1), 3_600_000);
    await on.charge();
    expect((await charges(leaseId)).map(({ renter_short }) => renter_short)).toEqual([0, 511_250]);
    expect(await on.balances([renter])).toEqual({});
    await on.use(leaseId, hour(1), -3_600_000, 1);
    await on.charge();
    // What the network bore of the window it has back; the renter has what it paid of it.
    expect(await on.balances([renter])).toEqual({ 'escrow USDC': '511250' });
    expect((await on.balances([supplier]))['earnings IO']).toBe('26959459');
    expect((await on.balances())['adjustments USDC']).toBeUndefined();
    expect((await on.check()).differences).toEqual([]);
  });

  test('is found whichever line of a window is charged first', async () => {
    const [one, other] = [await order(), await order()];
    await on.use(one.leaseId, t0, 3_000_000);
    await on.use(one.leaseId, t0, -1_500_000, 1);
    await on.charge();
    await on.use(other.leaseId, t0, -1_500_000, 1);
    await on.charge();
    await on.use(other.leaseId, t0, 3_000_000, 0);
    await on.charge();
    expect(await on.balances([other.renter])).toEqual(await on.balances([one.renter]));
    expect(await on.balances([other.supplier])).toEqual(await on.balances([one.supplier]));
    expect((await on.check()).differences).toEqual([]);
  });
});

/** As if it had been paid out. */
async function moveAway(tenantId: TenantId, kind: 'earnings', asset: 'IO', amount: bigint): Promise<void> {
  const from = `${kind}:${asset}:${tenantId}`;
  await ground.database.query(
    `WITH t AS (
       INSERT INTO ledger_transactions (idempotency_key, content_hash, kind, lines, memo, detail, actor)
       VALUES ('away ' || $1, '', 'payout', 2, 'test', '{}', 'test') RETURNING id)
     INSERT INTO ledger_postings SELECT t.id, line, a.id, sign * $2::bigint
     FROM t, (VALUES (1, $1, -1), (2, 'exchange:IO', 1)) AS v (line, name, sign) JOIN ledger_accounts a USING (name)`,
    [from, String(amount)],
  );
}

test('the checker finds a charge that is missing, one that is wrong and one that was not paid', async () => {
  const { leaseId } = await order();
  await on.use(leaseId, t0, 3_600_000);
  await on.use(leaseId, hour(1), 3_600_000);
  await on.charge();
  await on.use(leaseId, hour(2), 3_600_000);
  const { rows } = await ground.database.query<{ id: string }>(
    'SELECT id::text FROM usage_lines WHERE lease_id = $1 ORDER BY id',
    [leaseId],
  );
  const [first, second, third] = rows.map(({ id }) => id);
  const by = async (statement: string, values: unknown[]) => {
    await ground.database.transaction(async tx => {
      await tx.query('ALTER TABLE usage_charges DISABLE TRIGGER usage_charges_keep');
      await tx.query(statement, values);
      await tx.query('ALTER TABLE usage_charges ENABLE TRIGGER usage_charges_keep');
    });
  };
  await by('DELETE FROM charges_due WHERE usage_line_id = $1', [third]);
  await by('UPDATE usage_charges SET cost_micro_usd = cost_micro_usd - 1 WHERE usage_line_id = $1', [first]);
  await by(`UPDATE usage_charges SET usd_per_io = '186/100' WHERE usage_line_id = $1`, [second]);
  const { clean, differences } = await on.check();
  expect(clean).toBe(false);
  expect(differences.map(({ what }) => what).sort()).toEqual(['cost', 'posting', 'spending', 'uncharged']);
});

test('a line that cannot be charged is set aside with its lease, all others are charged, and it is when it can be', async () => {
  const orders = [];
  for (let index = 0; index < 5; index += 1) orders.push(await order());
  const leases = orders.map(({ leaseId }) => leaseId);
  const faulty = leases[2] as LeaseId;
  for (const start of [t0, hour(1)]) for (const lease of leases) await on.use(lease, start, 60_000);
  // Stands for whatever a later version of the code, or of the data, may bring.
  await ground.database.query(`CREATE FUNCTION refuse_charge() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'not this one'; END $$`);
  await ground.database.query(`CREATE TRIGGER refuse BEFORE INSERT ON usage_charges FOR EACH ROW
    WHEN (NEW.usage_line_id IN (${await lineIds(faulty)})) EXECUTE FUNCTION refuse_charge()`);
  let now = t0.getTime();
  const charging = new Charging({ database: ground.database, terms: on.terms, log: ground.log, now: () => now });
  try {
    await charging.run();
    expect(charging.setAside).toEqual([faulty]);
    const counts = await Promise.all(leases.map(async lease => (await charges(lease)).length));
    expect(counts).toEqual([2, 2, 0, 2, 2]);
  } finally {
    await ground.database.query('DROP TRIGGER refuse ON usage_charges');
    await ground.database.query('DROP FUNCTION refuse_charge');
  }
  await charging.run();
  expect(await charges(faulty)).toEqual([]);
  now += 600_000;
  await charging.run();
  expect(await charges(faulty)).toHaveLength(2);
  expect(charging.setAside).toEqual([]);
});

async function lineIds(leaseId: LeaseId): Promise<string> {
  const { rows } = await ground.database.query<{ ids: string }>(
    `SELECT string_agg(id::text, ', ') AS ids FROM usage_lines WHERE lease_id = $1`,
    [leaseId],
  );
  return rows[0]?.ids ?? '';
}
