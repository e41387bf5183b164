/** What open orders cost as they stand. */
import type { Asset, ClusterId, TenantId } from '@iocloud/contracts';
import type { Exposure } from '../core/billing/index.js';
import type { Queryable } from '../platform/index.js';

export interface OpenOrder {
  id: string;
  tenantId: TenantId;
  clusterId: ClusterId;
  clusterName: string;
  asset: Asset;
  topUps: number;
  paidUntil: Date | null;
  shortage: string;
  /** Its limit is what is left of its cluster's budget. */
  exposure: Exposure;
}

/** Of all tenants, or of one. What is accrued counts all time since the last charge, whether or not it will be billed. */
export async function openOrders(db: Queryable, now: Date, tenantId: TenantId | null = null): Promise<OpenOrder[]> {
  const { rows } = await db.query<{
    id: string;
    tenant_id: TenantId;
    cluster_id: ClusterId;
    name: string;
    asset: Asset;
    top_ups: number;
    paid_until: Date | null;
    shortage: string;
    per_hour: string;
    accrued: string;
    budget_left: string | null;
  }>({
    name: `billing-open-orders-${tenantId === null ? 'all' : 'tenant'}`,
    text: `SELECT o.id, o.tenant_id, o.cluster_id, c.name, o.asset, o.top_ups, o.paid_until, o.shortage,
             coalesce(sum(l.micro_usd_per_hour) FILTER (WHERE l.released_at IS NULL), 0)::text AS per_hour,
             coalesce(ceil(sum(l.micro_usd_per_hour * greatest(0, extract(epoch FROM
               coalesce(l.released_at, $1) - greatest(l.created_at, charged.until))) / 3600)), 0)::text AS accrued,
             CASE WHEN c.spec->>'budgetMicroUsd' IS NOT NULL THEN ((c.spec->>'budgetMicroUsd')::bigint - (
               SELECT ceil(sum(s.micro_usd_per_hour * greatest(0, extract(epoch FROM
                 coalesce(s.released_at, $1) - s.created_at)) / 3600))
               FROM leases s WHERE s.cluster_id = o.cluster_id))::text END AS budget_left
           FROM orders o JOIN clusters c ON c.id = o.cluster_id JOIN leases l ON l.order_id = o.id
           LEFT JOIN LATERAL (
             SELECT u.window_start + make_interval(secs => u.window_seconds) AS until
             FROM usage_lines u JOIN usage_charges g ON g.usage_line_id = u.id
             WHERE u.lease_id = l.id AND u.revision = 0 ORDER BY u.window_start DESC LIMIT 1) charged ON true
           WHERE o.closed_at IS NULL ${tenantId === null ? '' : 'AND o.tenant_id = $2'}
           GROUP BY o.id, c.id ORDER BY o.tenant_id, o.id`,
    values: tenantId === null ? [now] : [now, tenantId],
  });
  return rows.map(row => ({
    id: row.id,
    tenantId: row.tenant_id,
    clusterId: row.cluster_id,
    clusterName: row.name,
    asset: row.asset,
    topUps: row.top_ups,
    paidUntil: row.paid_until,
    shortage: row.shortage,
    exposure: {
      accrued: BigInt(row.accrued),
      perHour: BigInt(row.per_hour),
      limit: row.budget_left === null ? null : BigInt(row.budget_left),
    },
  }));
}
