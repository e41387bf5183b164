/** Months that are closed, on a real ledger. */

import { type LeaseId, parseUnits } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { BillingTrial } from '../billing/testing/index.js';
import { chargeOf } from '../core/billing/index.js';
import { closeNextMonth } from './closing.js';
import { InvoiceScene } from './testing/scene.js';

let scene: InvoiceScene;
beforeAll(async () => {
  scene = await InvoiceScene.start();
}, 60_000);
afterAll(() => scene?.stop());

/** Each test has a year of its own. */
let year = 2029;
beforeEach(async () => {
  year += 1;
  await scene.clock(`${year}-01-01T00:00:00Z`);
  await scene.nextOrder();
});
const total = (body: { totals: { total: string; asset: 'USDC' | 'IO' }[] }) =>
  body.totals.reduce((sum, each) => {
    const units = parseUnits(each.total.replace('-', ''), each.asset) as bigint;
    return sum + (each.total.startsWith('-') ? -units : units);
  }, 0n);
const invoices = async (kind = 'invoice') => {
  const key = kind === 'invoice' ? scene.renter : scene.supplier;
  return (await scene.get(key, `/invoices?kind=${kind}`)).body.items;
};

test('a month becomes one invoice and one statement, equal to the postings to the unit, however often it is closed', async () => {
  await scene.use({ from: `${year}-01-30T10:00:00Z` });
  await scene.use({ from: `${year}-01-30T11:00:00Z`, costMicroUsd: 333_333n });
  await scene.use({ from: `${year}-01-31T23:00:00Z` });
  await scene.close(`${year}-02-01T12:00:00Z`);
  expect(await invoices()).toEqual([]);
  await scene.close(`${year}-02-03T00:00:00Z`);
  await scene.close(`${year}-02-03T00:00:00Z`);
  const [invoice, ...others] = await invoices();
  expect(others).toEqual([]);
  const { paid, earned } = await scene.posted();
  expect(total(invoice)).toBe(paid);
  expect(invoice).toMatchObject({
    month: `${year}-01`,
    lines: 2,
    costUsd: '2.802467',
    issuer: { name: 'Example Ltd' },
  });
  expect(invoice.number).toMatch(/^[0-9A-Z]{8}-0001$/);
  const [statement] = await invoices('statement');
  expect(total(statement)).toBe(earned);
  const { body: lines } = await scene.get(scene.renter, `/invoices/${invoice.id}/lines`);
  expect(lines.items).toMatchObject([
    { n: 1, kind: 'usage', day: `${year}-01-30`, clusterName: 'train', usageLines: 2, model: 'NVIDIA H100 PCIe' },
    { n: 2, kind: 'usage', day: `${year}-01-31`, gpuSecondsHeld: '7200.000', gpuSecondsBilled: '7200.000' },
  ]);
  expect(lines.items[1]).toMatchObject({ pricePerHourUsd: '2.000000', costUsd: '1.234567', total: '1.262344' });
  expect(lines.items[1]).toMatchObject({ net: '1.234567', fees: '0.027777', asset: 'USDC', leaseId: scene.lease });
  const { body: earnings } = await scene.get(scene.supplier, `/invoices/${statement.id}/lines`);
  expect(earnings.items[1]).toMatchObject({ clusterId: null, nodeId: scene.node, total: '0.66566486', asset: 'IO' });
});

test('what comes after closing is a correction on the next invoice: nothing is lost, and the closed one stays', async () => {
  await scene.use({ from: `${year}-03-10T10:00:00Z` });
  // Used in March, charged in April before March is closed: still March's.
  await scene.use({ from: `${year}-03-31T23:00:00Z`, at: `${year}-04-01T05:00:00Z` });
  await scene.close(`${year}-04-03T01:00:00Z`);
  const [march] = await invoices();
  expect(march).toMatchObject({ month: `${year}-03`, lines: 2 });
  await scene.use({ from: `${year}-03-20T10:00:00Z`, at: `${year}-04-05T00:00:00Z`, costMicroUsd: 1_000_000n });
  await scene.use({ from: `${year}-04-06T10:00:00Z`, costMicroUsd: 2_000_000n });
  await scene.correct(
    { from: `${year}-04-06T10:00:00Z`, at: `${year}-04-07T00:00:00Z`, costMicroUsd: -500_000n },
    511_250n,
  );
  const { body: open } = await scene.get(scene.renter, `/invoices/invoice-${year}-04`);
  expect(open).toMatchObject({ id: null, number: null, closedAt: null, lines: 3 });
  await scene.close(`${year}-05-03T01:00:00Z`);
  const [april, before] = await invoices();
  expect(before).toEqual(march);
  expect(april.number).toMatch(/-0002$/);
  expect(april.totals).toEqual(open.totals);
  const { body: lines } = await scene.get(scene.renter, `/invoices/${april.id}/lines`);
  expect(lines.items).toMatchObject([
    { kind: 'correction', day: `${year}-03-20` },
    { kind: 'usage', day: `${year}-04-06`, total: '2.045000' },
    { kind: 'correction', day: `${year}-04-06`, costUsd: '-0.500000', total: '-0.511250' },
  ]);
  expect(total(march) + total(april)).toBe((await scene.posted()).paid);
});

test('what billing has charged, and corrects after the month was closed, is on invoices to the unit, fees apart', async () => {
  const billing = new BillingTrial(scene.ground.database);
  const [renter, supplier] = [scene.renter.tenantId, scene.supplier.tenantId];
  await billing.credit(renter, 'IO', 100n * 10n ** 8n);
  const nodeId = await billing.machine(supplier);
  const begin = new Date(`${year}-01-30T10:00:00Z`);
  const { leaseIds } = await billing.cluster(renter, [{ nodeId, microUsdPerHour: 1_234_567 }], begin);
  const [lease] = leaseIds as [LeaseId];
  await scene.clock(`${year}-01-30T12:00:00Z`);
  await billing.use(lease, begin, 3_600_000);
  await billing.use(lease, new Date(`${year}-01-30T11:00:00Z`), 1_800_000);
  await billing.charge();
  await scene.close(`${year}-02-03T00:00:00Z`);
  await scene.clock(`${year}-02-04T00:00:00Z`);
  await billing.use(lease, begin, -600_000, 1);
  await billing.charge();
  await scene.close(`${year}-03-03T00:00:00Z`);
  const [february, january] = await invoices();
  const { body: lines } = await scene.get(scene.renter, `/invoices/${february.id}/lines`);
  expect(lines.items).toMatchObject([
    { kind: 'correction', gpuSecondsBilled: '-600.000', leaseId: lease, asset: 'IO' },
  ]);
  const fees = [january, february].map(each => parseUnits(each.totals[0].fees.replace('-', ''), 'IO') as bigint);
  const whole = { asset: 'IO' as const, usdPerIo: { numerator: 37n, denominator: 20n }, fees: billing.terms.fees };
  const cost = (ms: bigint) => chargeOf({ ...whole, costMicroUsd: (ms * 1_234_567n) / 3_600_000n });
  expect(fees[0]).toBe(cost(3_600_000n).renterReservation + cost(1_800_000n).renterReservation);
  expect(fees[1]).toBe(cost(3_600_000n).renterReservation - cost(3_000_000n).renterReservation);
  expect(total(january) + total(february)).toBe((await scene.posted()).paid);
  const statements = await invoices('statement');
  expect(statements.map(total).reduce((sum: bigint, each: bigint) => sum + each)).toBe((await scene.posted()).earned);
});

test('a charge that was taken back is given back line by line', async () => {
  const id = await scene.use({ from: `${year}-01-10T10:00:00Z` });
  await scene.close(`${year}-02-03T00:00:00Z`);
  await scene.reverse(id, `${year}-02-05T00:00:00Z`);
  await scene.close(`${year}-03-03T00:00:00Z`);
  const [february, january] = await invoices();
  expect(total(february)).toBe(-total(january));
  const { body: lines } = await scene.get(scene.renter, `/invoices/${february.id}/lines`);
  expect(lines.items).toMatchObject([
    { kind: 'correction', day: `${year}-01-10`, gpuSecondsBilled: '-7200.000', fees: '-0.027777', note: 'a mistake' },
  ]);
});

test('usage that costs nothing is told beside what costs something, and makes no invoice by itself', async () => {
  await scene.useFree(`${year}-01-10T10:00:00Z`, 'the machine is the renter’s own');
  await scene.close(`${year}-02-03T00:00:00Z`);
  expect(await invoices()).toEqual([]);
  await scene.useFree(`${year}-02-10T10:00:00Z`, 'the machine is the renter’s own');
  await scene.use({ from: `${year}-02-10T11:00:00Z` });
  await scene.close(`${year}-03-03T00:00:00Z`);
  const [invoice] = await invoices();
  const { body: lines } = await scene.get(scene.renter, `/invoices/${invoice.id}/lines`);
  expect(lines.items[1]).toMatchObject({ kind: 'free', asset: null, note: 'the machine is the renter’s own' });
});

test('two replicas that close at the same time make each invoice once', async () => {
  await scene.use({ from: `${year}-01-10T10:00:00Z` });
  await scene.nextOrder();
  await scene.use({ from: `${year}-01-11T10:00:00Z` });
  const at = `${year}-02-03T00:00:00Z`;
  await scene.clock(at);
  const replica = async () => {
    for (let tries = 0; tries < 200; tries += 1)
      await closeNextMonth(scene.closing(at), () => false).catch(() => false);
  };
  await Promise.all([replica(), replica(), replica()]);
  expect(await invoices()).toHaveLength(1);
  const { body } = await scene.get(scene.operator, '/invoices/check');
  expect(body).toMatchObject({ clean: true, differences: [] });
});

test('closing that is cut off after any invoice goes on where it was, in number and in amount', async () => {
  for (const day of ['10', '11', '12']) {
    await scene.use({ from: `${year}-01-${day}T10:00:00Z` });
    await scene.nextOrder();
  }
  const at = `${year}-02-03T00:00:00Z`;
  await scene.clock(at);
  const made = async () => (await scene.get(scene.operator, `/invoices?all=true&limit=1000`)).body.items.length;
  const before = await made();
  for (let stopAfter = 0; stopAfter < 8; stopAfter += 1) {
    let looks = 0;
    await closeNextMonth(scene.closing(at), () => looks++ >= stopAfter);
  }
  await scene.close(at);
  // Three renters, three suppliers.
  expect((await made()) - before).toBe(6);
  const { body } = await scene.get(scene.operator, '/invoices/check');
  expect(body.clean).toBe(true);
});

describe('the database', () => {
  let id: string;
  beforeEach(async () => {
    await scene.use({ from: `${year}-01-10T10:00:00Z` });
    await scene.close(`${year}-02-03T00:00:00Z`);
    id = (await invoices())[0].id;
  });
  const sql = (text: string, values: unknown[]) => scene.ground.database.query(text, values);

  test.each([
    ['a change of an invoice', `UPDATE invoices SET tenant_name = 'x' WHERE id = $1`, 'never changed'],
    ['one of a line', 'UPDATE invoice_lines SET amount = 0 WHERE invoice_id = $1', 'never changed'],
    ['a deletion of entries', 'DELETE FROM invoice_entries WHERE invoice_id = $1', 'never changed'],
    [
      'a line that comes later',
      `INSERT INTO invoice_lines SELECT invoice_id, n + 1, kind, day, cluster_id, cluster_name, lease_id, node_id, node_name, model,
         micro_usd_per_hour, asset, entries, held_ms, billed_ms, cost_micro_usd, amount, fee, note
       FROM invoice_lines WHERE invoice_id = $1`,
      'has been closed',
    ],
    [
      'a number that leaves a gap',
      `INSERT INTO invoices (id, kind, tenant_id, number, month, tenant_name, issuer, lines, cost_micro_usd, totals)
       SELECT id || 'x', kind, tenant_id, number + 2, month + interval '1 month', tenant_name, issuer, lines, cost_micro_usd, totals
       FROM invoices WHERE id = $1`,
      'with number 1 comes 2, not 3',
    ],
    [
      'an invoice without its lines',
      `INSERT INTO invoices (id, kind, tenant_id, number, month, tenant_name, issuer, lines, cost_micro_usd, totals)
       SELECT id || 'x', kind, tenant_id, number + 1, month + interval '1 month', tenant_name, issuer, lines, cost_micro_usd, totals
       FROM invoices WHERE id = $1`,
      'has 0 lines',
    ],
  ])('refuses %s', async (_what, statement, words) => {
    await expect(sql(statement, [id])).rejects.toThrow(words);
  });

  test('refuses a charge on a second invoice', async () => {
    await expect(
      sql(
        `INSERT INTO invoice_entries SELECT 'in_0', line, kind, tenant_id, transaction_id, usage_line_id, asset, amount, fee
         FROM invoice_entries WHERE invoice_id = $1`,
        [id],
      ),
    ).rejects.toThrow('invoice_entries_once');
  });
});

test('the check finds a charge of a closed month that is on no invoice, and one that is not what was posted', async () => {
  const { database } = scene.ground;
  await scene.use({ from: `${year}-01-10T10:00:00Z` });
  await scene.close(`${year}-02-03T00:00:00Z`);
  const lost = await scene.use({ from: `${year}-01-10T11:00:00Z`, at: `${year}-01-10T12:00:00Z` });
  await database.query('ALTER TABLE invoice_entries DISABLE TRIGGER USER');
  const [{ id }] = await invoices();
  await database.query('UPDATE invoice_entries SET amount = amount + 1 WHERE invoice_id = $1', [id]);
  const { body } = await scene.get(scene.operator, '/invoices/check');
  expect(body.clean).toBe(false);
  expect(body.differences).toContainEqual(expect.objectContaining({ what: 'missing', subject: String(lost) }));
  expect(body.differences).toContainEqual(expect.objectContaining({ what: 'amount', subject: id }));
  await database.query('UPDATE invoice_entries SET amount = amount - 1 WHERE invoice_id = $1', [id]);
  await database.query('ALTER TABLE invoice_entries ENABLE TRIGGER USER');
});
