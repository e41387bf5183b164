/**
 * Tends what runs: holds grow ahead of need, what can no longer be set aside ends its cluster in order and not in debt, and
 * who runs low is told in time. Looks first without locks; only what is to change is locked and looked at again.
 */
import { type Asset, assets, type TenantId } from '@iocloud/contracts';
import { type PaidUntil, type Tending, tend } from '../core/billing/index.js';
import { recordEvents } from '../events/index.js';
import { availableOf, lockPurse, readHolds, topUpHolds } from '../ledger/index.js';
import { type Database, type Queryable, type Transaction, wakeAll } from '../platform/index.js';
import { type OpenOrder, openOrders } from './exposure.js';
import { capsLeft, periodEnds, settingsOf } from './settings.js';
import { termsFor } from './terms.js';
import { actor, type BillingTerms, type IoPrice } from './wiring.js';

/** Any constant will do, as long as every replica takes the same. */
const tendLock = 7_265_107;
/** An end that moves by less is not told anew. */
const sameEndMs = 2_000;
const hourMs = 3_600_000;

/** Looks at all open orders once. False: another replica is at it. */
export const tendAll = (database: Database, terms: BillingTerms, now: Date): Promise<boolean> =>
  database.alone(tendLock, () => tendEach(database, terms, now));

async function tendEach(database: Database, terms: BillingTerms, now: Date): Promise<void> {
  const all = await openOrders(database, now);
  const byTenant = new Map<TenantId, OpenOrder[]>();
  for (const order of all) byTenant.set(order.tenantId, [...(byTenant.get(order.tenantId) ?? []), order]);
  const rate = await terms.rate(database);
  const available = await availableOf(database, [...byTenant.keys()]);
  const holds = await readHolds(
    database,
    all.map(({ id }) => id),
  );
  const failures: unknown[] = [];
  for (const [tenantId, orders] of byTenant) {
    const purse = new Map(assets.map(asset => [asset, available(tenantId, asset)]));
    try {
      const plan = await planOf(database, terms, { tenantId, orders, purse, holds, rate, now });
      const isLow = plan.lastsMs !== null && plan.lastsMs < BigInt(Math.round(terms.lowBalanceHours * hourMs));
      if (plan.topUps.length > 0 || changedEnds(orders, plan).length > 0) {
        await database.transaction(tx => apply(tx, terms, tenantId, rate, now));
      }
      await tellOfBalance(database, tenantId, isLow, plan.lastsMs);
    } catch (error) {
      // The others are looked at all the same.
      failures.push(error);
    }
  }
  await database.query('DELETE FROM low_balances WHERE NOT tenant_id = ANY ($1)', [[...byTenant.keys()]]);
  if (failures.length > 0)
    throw new AggregateError(failures, `orders of ${failures.length} tenants could not be tended`);
}

interface Look {
  tenantId: TenantId;
  orders: readonly OpenOrder[];
  purse: ReadonlyMap<Asset, bigint>;
  holds: ReadonlyMap<string, { left: bigint; closed: boolean }>;
  rate: IoPrice;
  now: Date;
}

async function planOf(db: Queryable, terms: BillingTerms, look: Look): Promise<Tending> {
  const { tenantId, purse, holds, rate, now } = look;
  const nowMs = now.getTime();
  // An order in IO was made with a price of it, and prices are never forgotten.
  const orders = look.orders.filter(({ asset }) => termsFor(asset, terms.fees, rate) !== null);
  const accrued = orders.reduce((sum, { exposure }) => sum + exposure.accrued, 0n);
  const caps = await capsLeft(db, tenantId, await settingsOf(db, tenantId), accrued, nowMs);
  const state = {
    orders: orders.map(({ id, asset, exposure }) => {
      const { left = 0n, closed = false } = holds.get(id) ?? {};
      return { id, asset, exposure, left, isClosed: closed };
    }),
    available: purse,
    caps,
    nowMs,
    ...periodEnds(nowMs),
  };
  return tend(state, terms.aheadMs, asset => {
    const known = termsFor(asset, terms.fees, rate);
    if (known === null) throw new Error(`no price of ${asset} is known`);
    return known;
  });
}

interface ChangedEnd {
  order: OpenOrder;
  end: PaidUntil | null;
}

function changedEnds(orders: readonly OpenOrder[], { ends }: Tending): ChangedEnd[] {
  return orders.flatMap(order => {
    const end = ends.get(order.id);
    if (end === undefined) return [];
    const before = order.paidUntil?.getTime() ?? null;
    const isSame =
      before === null || end === null
        ? before === null && end === null
        : Math.abs(before - end.atMs) < sameEndMs && order.shortage === end.why;
    return isSame ? [] : [{ order, end }];
  });
}

async function apply(
  tx: Transaction,
  terms: BillingTerms,
  tenantId: TenantId,
  rate: IoPrice,
  now: Date,
): Promise<void> {
  await tx.query('SELECT 1 FROM orders WHERE tenant_id = $1 AND closed_at IS NULL ORDER BY id FOR UPDATE', [tenantId]);
  const orders = await openOrders(tx, now, tenantId);
  const ids = orders.map(({ id }) => id);
  const purse = await lockPurse(tx, tenantId, ids);
  const plan = await planOf(tx, terms, { tenantId, orders, purse, holds: await readHolds(tx, ids), rate, now });
  const byId = new Map(orders.map(order => [order.id, order]));
  if (plan.topUps.length > 0) {
    const topUps = plan.topUps.map(({ id, amount }) => {
      return { reference: id, key: String((byId.get(id)?.topUps ?? 0) + 1), amount };
    });
    await topUpHolds(tx, topUps, actor);
    await tx.query('UPDATE orders SET top_ups = top_ups + 1 WHERE id = ANY ($1)', [plan.topUps.map(({ id }) => id)]);
  }
  const changed = changedEnds(orders, plan);
  for (const { order, end } of changed) {
    await tx.query('UPDATE orders SET paid_until = $2, shortage = $3 WHERE id = $1', [
      order.id,
      end && new Date(end.atMs),
      end?.why ?? '',
    ]);
  }
  await tell(tx, changed);
  await wakeAll(
    tx,
    'cluster',
    changed.map(({ order }) => order.clusterId),
  );
}

/** Once when the end comes in sight, and once when it is gone; not each time that it moves. */
async function tell(tx: Transaction, changed: readonly ChangedEnd[]): Promise<void> {
  const news = changed.filter(({ order, end }) => (order.paidUntil === null) !== (end === null));
  if (news.length === 0) return;
  await recordEvents(
    tx,
    news.map(({ order: { tenantId, clusterId, clusterName }, end }) => ({
      tenantId,
      subjectKind: 'cluster' as const,
      subject: clusterId,
      ...(end === null
        ? { reason: 'PaidAhead', message: `${clusterName} is paid for again, and goes on` }
        : {
            reason: 'SuspensionAhead',
            message: `${clusterName} is stopped at ${new Date(end.atMs).toISOString()} unless that changes: ${end.why}`,
            severity: 'warning' as const,
          }),
    })),
  );
}

/** Told once each time that it sinks below the line. */
async function tellOfBalance(
  database: Database,
  tenantId: TenantId,
  isLow: boolean,
  lastsMs: bigint | null,
): Promise<void> {
  const statement = isLow
    ? 'INSERT INTO low_balances (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING'
    : 'DELETE FROM low_balances WHERE tenant_id = $1';
  await database.transaction(async tx => {
    const { rowCount } = await tx.query(statement, [tenantId]);
    if (rowCount === 0) return;
    const hours = (Number(lastsMs ?? 0n) / hourMs).toFixed(1);
    await recordEvents(tx, [
      {
        tenantId,
        subjectKind: 'account',
        subject: tenantId,
        ...(isLow
          ? {
              reason: 'BalanceLow',
              message: `what is left pays for ${hours} hours of what runs; then it is stopped in order`,
              severity: 'warning' as const,
            }
          : { reason: 'BalanceRecovered', message: `what is left pays for ${hours} hours of what runs again` }),
      },
    ]);
  });
}
