/** Orders: money is set aside before a machine of others is held, and what is left goes back when the last of it is charged. */
import type { Asset, ClusterId, TenantId } from '@iocloud/contracts';
import { unitsInWords, usdInWords } from '@iocloud/contracts/amounts';
import { type CapsLeft, lowerOf, unitsFor } from '../core/billing/index.js';
import { recordEvent } from '../events/index.js';
import { closeHold, lockPurse, openHold, readHolds, topUpHolds } from '../ledger/index.js';
import type { Database, Queryable, Transaction } from '../platform/index.js';
import { openOrders } from './exposure.js';
import type { Cover, CoverWanted } from './ports.js';
import { capsLeft, settingsOf } from './settings.js';
import { termsFor } from './terms.js';
import { actor, type BillingTerms } from './wiring.js';

/** What could not be paid for so long is not started. */
const leastMs = 120_000n;
const hourMs = 3_600_000n;
const costOf = (perHour: bigint, ms: bigint) => (perHour * ms + hourMs - 1n) / hourMs;

/**
 * Sets money aside for leases that are to be made, in the same transaction: a new hold, or more in the one that the cluster
 * has. Takes the order's row first, so that it is not closed meanwhile.
 */
export async function cover(tx: Transaction, terms: BillingTerms, wanted: CoverWanted): Promise<Cover> {
  const { clusterId, tenantId, name, budgetLeftMicroUsd, now } = wanted;
  const price = BigInt(wanted.microUsdPerHour);
  if (terms.mode === 'off' || price === 0n) return { orderId: null };
  const order = await lockOrder(tx, clusterId);
  const settings = await settingsOf(tx, tenantId);
  const others = (await openOrders(tx, now, tenantId)).map(({ exposure }) => exposure);
  const accrued = others.reduce((sum, each) => sum + each.accrued, 0n);
  const perHour = others.reduce((sum, each) => sum + each.perHour, price);
  const caps = await capsLeft(tx, tenantId, settings, accrued, now.getTime());
  const capped = capRefusal(caps, costOf(perHour, leastMs));
  if (capped !== null) return { refused: capped };
  const limits = [lowerOf(caps), budgetLeftMicroUsd === null ? null : BigInt(Math.max(0, budgetLeftMicroUsd))];
  const cost = limits.reduce<bigint>(
    (least, limit) => (limit !== null && limit < least ? limit : least),
    costOf(price, terms.aheadMs),
  );
  const rate = await terms.rate(tx);
  const purse = await lockPurse(tx, tenantId, order ? [order.id] : []);
  const hold = order && (await readHolds(tx, [order.id])).get(order.id);
  if (hold?.closed) return { refused: 'its hold was closed by an operator; it gets another one once it has ended' };
  if (cost <= 0n) return { refused: 'nothing of its budget is left' };
  const asked = order ? [order.asset] : settings.paysIn;
  const unitsIn = (asset: Asset) => {
    const known = termsFor(asset, terms.fees, rate);
    return known === null ? null : unitsFor(cost, known);
  };
  const asset = asked.find(each => {
    const units = unitsIn(each);
    return units !== null && units <= (purse.get(each) ?? 0n);
  });
  const amount = asset === undefined ? null : unitsIn(asset);
  if (asset === undefined || amount === null) {
    const words = asked.map(each => {
      const units = unitsIn(each);
      const has = unitsInWords(purse.get(each) ?? 0n, each);
      return units === null
        ? `${each} has no price now`
        : `${unitsInWords(units, each)} ${each} are needed and ${has} available`;
    });
    const first = `${Number(terms.aheadMs) / 60_000} minutes at $${usdInWords(Number(price))} an hour`;
    return { refused: `it is not covered: its first ${first} have to be set aside, with fees: ${words.join('; ')}` };
  }
  if (order) {
    if (amount > 0n) await topUpHolds(tx, [{ reference: order.id, key: String(order.topUps + 1), amount }], actor);
    await tx.query('UPDATE orders SET top_ups = top_ups + 1 WHERE id = $1', [order.id]);
    return { orderId: order.id };
  }
  const orderId = await insertOrder(tx, { clusterId, tenantId, asset, now });
  await openHold(tx, { reference: orderId, tenantId, asset, amount, memo: `for ${name}`, actor });
  const message = `${unitsInWords(amount, asset)} ${asset} were set aside for ${name}`;
  await recordEvent(tx, { tenantId, subjectKind: 'cluster', subject: clusterId, reason: 'OrderOpened', message });
  return { orderId };
}

function capRefusal(caps: CapsLeft, least: bigint): string | null {
  if (caps.day !== null && caps.day < least) return 'what its tenant may spend in a day is spent';
  if (caps.month !== null && caps.month < least) return 'what its tenant may spend in a month is spent';
  return null;
}

async function lockOrder(
  tx: Transaction,
  clusterId: ClusterId,
): Promise<{ id: string; asset: Asset; topUps: number } | null> {
  const { rows } = await tx.query<{ id: string; asset: Asset; top_ups: number }>(
    'SELECT id, asset, top_ups FROM orders WHERE cluster_id = $1 AND closed_at IS NULL FOR UPDATE',
    [clusterId],
  );
  const row = rows[0];
  return row ? { id: row.id, asset: row.asset, topUps: row.top_ups } : null;
}

/** The first of a cluster has its id, so that its hold is found by it. */
async function insertOrder(
  tx: Transaction,
  { clusterId, tenantId, asset, now }: { clusterId: ClusterId; tenantId: TenantId; asset: Asset; now: Date },
): Promise<string> {
  const { rows } = await tx.query<{ id: string }>(
    `INSERT INTO orders (id, tenant_id, cluster_id, asset, opened_at)
     SELECT $2 || CASE count(*) WHEN 0 THEN '' ELSE '.' || count(*) + 1 END, $1, $2, $3, $4
     FROM orders WHERE cluster_id = $2 RETURNING id`,
    [tenantId, clusterId, asset, now],
  );
  if (!rows[0]) throw new Error(`the order of ${clusterId} was not made`);
  return rows[0].id;
}

/** What the meter has not said this long after a lease's release, it will not say: its hold waits no longer. */
const meterPatience = '1 hour';

/** Nothing of it is held, its last window is there, and every line has its charge. */
const isOver = `NOT EXISTS (
  SELECT FROM leases l WHERE l.order_id = o.id AND (
    l.released_at IS NULL
    OR EXISTS (SELECT FROM charges_due d WHERE d.lease_id = l.id)
    OR l.ready_at IS NOT NULL AND l.released_at > now() - interval '${meterPatience}' AND NOT EXISTS (
      SELECT FROM usage_lines u WHERE u.lease_id = l.id
        AND u.window_start + make_interval(secs => u.window_seconds) >= l.released_at)))`;

/** Clusters with an order that is over, or of which all is released and lines are to be charged. */
export async function endedClusters(db: Queryable): Promise<ClusterId[]> {
  const { rows } = await db.query<{ cluster_id: ClusterId }>(
    `SELECT o.cluster_id FROM orders o WHERE o.closed_at IS NULL
       AND NOT EXISTS (SELECT FROM leases l WHERE l.order_id = o.id AND l.released_at IS NULL)`,
  );
  return rows.map(row => row.cluster_id);
}

/** Gives back what is left of the cluster's order if that is over. True: it was, and has been closed now. */
export async function closeIfOver(database: Database, clusterId: ClusterId): Promise<boolean> {
  return database.transaction(async tx => {
    const order = await lockOrder(tx, clusterId);
    if (!order) return false;
    // A statement of its own: it sees the leases that were made while the lock was waited for.
    const { rows } = await tx.query<{ tenant_id: TenantId; name: string }>(
      `SELECT o.tenant_id, c.name FROM orders o JOIN clusters c ON c.id = o.cluster_id WHERE o.id = $1 AND ${isOver}`,
      [order.id],
    );
    const row = rows[0];
    if (!row) return false;
    const left = (await closeHold(tx, order.id, actor)) ?? 0n;
    await tx.query(`UPDATE orders SET closed_at = now(), paid_until = NULL, shortage = '' WHERE id = $1`, [order.id]);
    const message = `${row.name} is settled: ${unitsInWords(left, order.asset)} ${order.asset} went back`;
    const event = { subjectKind: 'cluster', subject: clusterId, reason: 'OrderClosed', message } as const;
    await recordEvent(tx, { tenantId: row.tenant_id, ...event });
    return true;
  });
}

/** Until when clusters are paid for, of those whose money or cap is running out. */
export async function paidUntil(
  db: Queryable,
  clusterIds: readonly ClusterId[],
): Promise<Map<ClusterId, { at: Date; message: string }>> {
  const { rows } = await db.query<{ cluster_id: ClusterId; paid_until: Date; shortage: string }>({
    name: 'billing-paid-until',
    text: `SELECT cluster_id, paid_until, shortage FROM orders
           WHERE cluster_id = ANY ($1) AND closed_at IS NULL AND paid_until IS NOT NULL`,
    values: [clusterIds],
  });
  return new Map(rows.map(row => [row.cluster_id, { at: row.paid_until, message: row.shortage }]));
}
