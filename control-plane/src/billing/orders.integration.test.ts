/** Orders of clusters: covered before anything is held, topped up, ended in order, given back. */
import type { ClusterId, LeaseId, TenantId } from '@iocloud/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type SimulatedAgent, Trial } from '../clusters/testing/index.js';
import { cover, refusalOf } from './cover.js';
import { createBilling } from './index.js';
import { BillingTrial } from './testing/index.js';

jest.setTimeout(60_000);

let trial: Trial;
let on: BillingTrial;
let agent: SimulatedAgent;
let supplier: TenantId;
beforeAll(async () => {
  trial = await Trial.start();
  on = new BillingTrial(trial.database);
  trial.orders = {
    cover: (tx, wanted) => cover(tx, on.terms, wanted),
    refusal: (db, price) => refusalOf(db, on.terms, price),
  };
});
beforeEach(async () => {
  supplier = await on.tenant();
  agent = await trial.machine(supplier, {}, true);
  const terms = { microUsdPerCpuHour: 500_000, plainProcesses: true };
  await trial.database.query('UPDATE nodes SET terms = $2 WHERE id = $1', [agent.nodeId, JSON.stringify(terms)]);
});
afterEach(async () => {
  await trial.database.query(`UPDATE clusters SET desired = 'deleted', phase = 'deleted', deleted_at = now()`);
  await trial.database.query('UPDATE leases SET released_at = now() WHERE released_at IS NULL');
  await trial.database.query('UPDATE nodes SET removed_at = now(), online = false');
});
afterAll(() => trial?.stop());

const usd = 1_000_000n;
/** Two CPUs: 1 USD an hour, 1.0225 with fees. */
const create = (tenantId: TenantId, more = {}) => trial.create(tenantId, { name: 'c', head: { cpus: 2 }, ...more });
const condition = async (id: ClusterId, type: string) =>
  (await trial.show(id)).conditions.find(each => each.type === type);
const backdate = (id: ClusterId, seconds: number) =>
  trial.database.query('UPDATE leases SET created_at = created_at - make_interval(secs => $2) WHERE cluster_id = $1', [
    id,
    seconds,
  ]);
const leasesOf = async (id: ClusterId) =>
  (
    await trial.database.query<{ id: LeaseId; order_id: string | null; price_basis: unknown }>(
      'SELECT id, order_id, price_basis FROM leases WHERE cluster_id = $1 ORDER BY created_at',
      [id],
    )
  ).rows;
const reasonsOf = async (subject: string) =>
  (
    await trial.database.query<{ reason: string }>('SELECT reason FROM events WHERE subject = $1 ORDER BY sequence', [
      subject,
    ])
  ).rows.map(({ reason }) => reason);

describe('a cluster on a machine of others', () => {
  test('waits with its reason while its first span is not covered, and comes up once it is', async () => {
    const renter = await on.tenant({ USDC: 1_022_499n });
    const id = await create(renter);
    expect(await condition(id, 'Placed')).toMatchObject({
      status: 'False',
      reason: 'NotPaid',
      message: expect.stringMatching(
        /first 60 minutes at \$1.00 an hour .*0.54189190 IO are needed and 0.00000000 available; 1.022500 USDC are needed and 1.022499 available/,
      ),
    });
    await trial.sweep();
    expect(await leasesOf(id)).toEqual([]);
    expect(await on.balances([renter])).toEqual({ 'available USDC': '1022499' });
    expect((await reasonsOf(id)).filter(reason => reason === 'NotPaid')).toHaveLength(1);
    await on.credit(renter, 'USDC', 1n);
    await trial.sweep();
    await agent.obey();
    expect(await trial.show(id)).toMatchObject({ phase: 'ready' });
    expect(await on.balances([renter])).toEqual({ 'escrow USDC': '1022500' });
    expect(await leasesOf(id)).toEqual([
      {
        id: expect.any(String),
        order_id: id,
        price_basis: {
          microUsdPerCpuHour: 500_000,
          microUsdPerGpuHour: 0,
          ownMicroUsdPerGpuHour: 0,
          market: null,
          cpus: 2,
          gpus: 0,
        },
      },
    ]);
  });

  test('pays in the first of its assets that covers it, and sets aside no more than its budget', async () => {
    const renter = await on.tenant({ USDC: 9n * usd, IO: 10n ** 9n });
    await create(renter, { budgetMicroUsd: 500_000 });
    // Half a dollar at 1.85, with a quarter of a percent.
    expect(await on.balances([renter])).toEqual({
      'available IO': String(10n ** 9n - 27_094_595n),
      'available USDC': '9000000',
      'escrow IO': '27094595',
    });
  });

  test('is paid for in IOSD by who has nothing else, as in dollars', async () => {
    const renter = await on.tenant({ IO: 10n ** 8n });
    await on.burn(renter, 10n ** 8n, 1_850_000n);
    await create(renter);
    expect(await on.balances([renter])).toEqual({ 'available IOSD': '827500', 'escrow IOSD': '1022500' });
    expect((await on.check()).differences).toEqual([]);
  });

  test('is paid for by one order until it ends, and by another when it is started again', async () => {
    const renter = await on.tenant({ USDC: 20n * usd });
    const id = await create(renter);
    await agent.obey();
    await trial.wish(id, { desired: 'stopped' });
    await agent.obey();
    const [lease] = await leasesOf(id);
    await trial.database.query('UPDATE leases SET ready_at = NULL WHERE id = $1', [lease?.id]);
    expect(await on.close(id)).toBe(true);
    await trial.wish(id, { desired: 'running' });
    await agent.obey();
    expect((await leasesOf(id)).map(({ order_id }) => order_id)).toEqual([id, `${id}.2`]);
    expect(await on.balances([renter])).toEqual({ 'available USDC': '18977500', 'escrow USDC': '1022500' });
  });

  test('gets its money back at its end: when its last line is charged, or at once if it never ran', async () => {
    const { database } = trial;
    const config = { billing: 'prepaid' as const, fees: on.terms.fees, holdMinutes: 60, lowBalanceHours: 1 };
    const oracle = { guards: { minSources: 1, maxAgeMs: 60_000, maxDeviationPpm: 1 }, nowMs: Date.now };
    const good = JSON.stringify({ usdPerIo: '1.85', at: new Date() });
    await database.query(`INSERT INTO io_rate (good, looked_at, sources) VALUES ($1, now(), '[]')`, [good]);
    const now = () => new Date();
    const billing = createBilling({
      config,
      database,
      oracle,
      log: trial.ground.log,
      now,
      demandTenant: async () => 1,
    });
    const renter = await on.tenant({ USDC: 20n * usd });
    const id = await create(renter);
    await trial.wish(id, { desired: 'deleted' });
    await agent.obey();
    expect(await billing.handler.sweep()).toContain(id);
    await billing.handler.handle(id);
    expect(await on.balances([renter])).toEqual({ 'available USDC': '20000000' });

    const other = await trial.create(renter, { name: 'd', head: { cpus: 2 } });
    await agent.obey();
    await backdate(other, 100);
    await trial.wish(other, { desired: 'deleted' });
    await agent.obey();
    await billing.handler.handle(other);
    expect((await on.balances([renter]))['escrow USDC']).toBe('1022500');
    const [lease] = await leasesOf(other);
    const minute = new Date(Date.now() - (Date.now() % 60_000));
    await on.use(lease?.id as LeaseId, minute, 36_000, 0, 60);
    await billing.handler.handle(other);
    expect(await on.balances([renter])).toEqual({ 'available USDC': '19989775' });
    expect((await reasonsOf(other)).at(-1)).toBe('OrderClosed');
    expect((await on.check()).differences).toEqual([]);
  });
});

test('one’s own machine takes no money', async () => {
  const id = await create(supplier);
  await agent.obey();
  expect(await trial.show(id)).toMatchObject({ phase: 'ready' });
  expect((await leasesOf(id)).map(({ order_id }) => order_id)).toEqual([null]);
});

test('a job whose cluster is not covered goes on waiting with the reason, and no cluster is left beside it', async () => {
  const renter = await on.tenant();
  const needs = { cpus: 1, gpus: 0, resources: {}, labels: {} } as never;
  const answer = await trial.database.transaction(tx => trial.domain.clusters.provisionForJob(tx, renter, needs));
  expect(answer).toEqual({ refused: expect.stringMatching('have to be set aside'), ever: true, isUnpaid: true });
  expect(await trial.domain.list(renter)).toEqual([]);
  const explained = await trial.domain.clusters.explainForJob(trial.database, renter, needs, {});
  expect(explained).toMatchObject({ outcome: 'later', message: expect.stringMatching('have to be set aside') });
  await on.credit(renter, 'USD', usd);
  expect(await trial.domain.clusters.explainForJob(trial.database, renter, needs, {})).toMatchObject({
    outcome: 'now',
  });
});

describe('as it runs', () => {
  test('its hold grows ahead of need; when nothing is left it is told, and stopped in order before the hold is empty', async () => {
    const renter = await on.tenant({ USDC: 2n * usd });
    const id = await create(renter);
    await agent.obey();
    await backdate(id, 1_750);
    await on.tend(new Date());
    expect((await on.balances([renter]))['escrow USDC']).toBe('1022500');
    await backdate(id, 100);
    await on.tend(new Date());
    const grown = Number((await on.balances([renter]))['escrow USDC']);
    expect(Math.abs(grown - 1_022_500 - 525_000)).toBeLessThan(3_000);
    expect(await reasonsOf(renter)).toEqual(['BalanceLow']);

    await backdate(id, 1_900);
    await on.tend(new Date());
    expect(await on.balances([renter])).toEqual({ 'escrow USDC': '2000000' });
    // 2 USDC are 7,041 s at 1.0225 an hour; 3,750 s of them are used.
    const { endsAt } = await trial.show(id);
    expect(Math.abs(Date.parse(endsAt ?? '') - Date.now() - 3_291_000)).toBeLessThan(5_000);
    expect((await reasonsOf(id)).filter(reason => reason === 'SuspensionAhead')).toHaveLength(1);
    await on.tend(new Date());
    expect((await reasonsOf(id)).filter(reason => reason === 'SuspensionAhead')).toHaveLength(1);
    expect(await reasonsOf(renter)).toEqual(['BalanceLow']);

    trial.activity.set(id, { live: 1, lastEndedAt: null });
    await backdate(id, 3_265);
    await on.tend(new Date());
    await trial.settle();
    expect(trial.evicted.get(id)).toBe('c is stopped: its money is spent.');
    expect(await condition(id, 'Ending')).toMatchObject({ status: 'True', reason: 'NotPaid' });
    await backdate(id, 20);
    await on.tend(new Date());
    await trial.settle();
    await agent.obey();
    expect(await trial.show(id)).toMatchObject({ phase: 'stopped', desired: 'stopped', leases: [] });
    trial.activity.delete(id);
  });

  test('money that comes in time lets it go on', async () => {
    const renter = await on.tenant({ USDC: 1_100_000n });
    const id = await create(renter);
    await agent.obey();
    await backdate(id, 2_000);
    await on.tend(new Date());
    expect((await trial.show(id)).endsAt).not.toBeNull();
    await on.credit(renter, 'USDC', 50n * usd);
    await on.tend(new Date());
    expect((await trial.show(id)).endsAt).toBeNull();
    expect(await reasonsOf(id)).toEqual(expect.arrayContaining(['SuspensionAhead', 'PaidAhead']));
    expect(await reasonsOf(renter)).toEqual(['BalanceLow', 'BalanceRecovered']);
  });

  test('a cap ends it like spent money, and refuses the next order', async () => {
    const renter = await on.tenant({ USDC: 100n * usd });
    await trial.database.query(
      `INSERT INTO billing_settings (tenant_id, pays_in, month_cap_micro_usd) VALUES ($1, '{USDC}', 600000)`,
      [renter],
    );
    const id = await create(renter);
    await agent.obey();
    expect((await on.balances([renter]))['escrow USDC']).toBe('613500');
    await backdate(id, 1_080);
    await on.tend(new Date());
    const { endsAt } = await trial.show(id);
    expect(Math.abs(Date.parse(endsAt ?? '') - Date.now() - 1_080_000)).toBeLessThan(5_000);
    await backdate(id, 1_020);
    const next = await trial.create(renter, { name: 'next', head: { cpus: 1 } });
    expect(await condition(next, 'Placed')).toMatchObject({
      reason: 'NotPaid',
      message: 'what its tenant may spend in a month is spent',
    });
  });
});
