/** Orders and their ends: what is left of a hold goes back when the last of it is charged. */
import type { Asset, ClusterId, TenantId } from '@iocloud/contracts';
import { unitsInWords } from '@iocloud/contracts/amounts';
import { recordEvent } from '../events/index.js';
import { closeHold } from '../ledger/index.js';
import type { Database, Queryable, Transaction } from '../platform/index.js';
import { actor } from './wiring.js';

export interface LockedOrder {
  id: string;
  asset: Asset;
  topUps: number;
}

/** The one that the cluster has open. */
export async function lockOrder(tx: Transaction, clusterId: ClusterId): Promise<LockedOrder | null> {
  const { rows } = await tx.query<{ id: string; asset: Asset; top_ups: number }>(
    'SELECT id, asset, top_ups FROM orders WHERE cluster_id = $1 AND closed_at IS NULL FOR UPDATE',
    [clusterId],
  );
  const row = rows[0];
  return row ? { id: row.id, asset: row.asset, topUps: row.top_ups } : null;
}

/** The first of a cluster has its id, so that its hold is found by it. */
export async function insertOrder(
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
        AND u.window_start + make_interval(secs => u.window_seconds) >= date_trunc('milliseconds', l.released_at))))`;

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
