/** Usage lines that have no charge yet, and what their windows have come to before. */
import type { Asset, ClusterId, LeaseId, TenantId } from '@iocloud/contracts';
import { parseFees, parseRatio, type Shortfall, type UsageTerms } from '../core/billing/index.js';
import type { Queryable } from '../platform/index.js';

export interface DueLine {
  lineId: string;
  leaseId: LeaseId;
  windowStart: Date;
  windowSeconds: number;
  revision: number;
  billableMs: bigint;
  renterId: TenantId;
  supplierId: TenantId;
  /** Null: nothing is held for the lease. */
  orderId: string | null;
  asset: Asset | null;
  microUsdPerHour: bigint;
}

/** Rows of 0100_usage.sql joined with the leases, machines and orders that they are of. */
interface Row {
  line_id: string;
  lease_id: LeaseId;
  window_start: Date;
  window_seconds: number;
  revision: number;
  billable_ms: string;
  renter: TenantId;
  supplier: TenantId;
  order_id: string | null;
  asset: Asset | null;
  price: string;
}

/** Without a rate only those are asked for that need none: of a window that has its own, or that cost nothing. */
const needsNoRate = `(l.order_id IS NULL OR u.billable_ms = 0 OR l.micro_usd_per_hour = 0 OR EXISTS (
  SELECT FROM usage_lines b JOIN usage_charges c ON c.usage_line_id = b.id
  WHERE b.lease_id = u.lease_id AND b.window_start = u.window_start AND c.usd_per_io IS NOT NULL))`;

/** In the order in which they came. */
export async function dueLines(
  db: Queryable,
  {
    clusterId,
    except,
    hasRate,
    limit,
  }: { clusterId: ClusterId | null; except: readonly LeaseId[]; hasRate: boolean; limit: number },
): Promise<DueLine[]> {
  const ofCluster = clusterId === null ? '' : 'AND d.lease_id IN (SELECT id FROM leases WHERE cluster_id = $3)';
  const { rows } = await db.query<Row>({
    name: `billing-due-${clusterId === null ? 'all' : 'cluster'}-${hasRate}`,
    text: `SELECT u.id::text AS line_id, u.lease_id, u.window_start, u.window_seconds, u.revision, u.billable_ms::text,
             l.tenant_id AS renter, n.tenant_id AS supplier, l.order_id, o.asset, l.micro_usd_per_hour::text AS price
           FROM charges_due d JOIN usage_lines u ON u.id = d.usage_line_id JOIN leases l ON l.id = u.lease_id
           JOIN nodes n ON n.id = l.node_id LEFT JOIN orders o ON o.id = l.order_id
           WHERE ${hasRate ? 'true' : needsNoRate} AND d.lease_id <> ALL ($2::text[]) ${ofCluster}
           ORDER BY d.usage_line_id LIMIT $1`,
    values: [limit, except, ...(clusterId === null ? [] : [clusterId])],
  });
  return rows.map(row => ({
    lineId: row.line_id,
    leaseId: row.lease_id,
    windowStart: row.window_start,
    windowSeconds: row.window_seconds,
    revision: row.revision,
    billableMs: BigInt(row.billable_ms),
    renterId: row.renter,
    supplierId: row.supplier,
    orderId: row.order_id,
    asset: row.asset,
    microUsdPerHour: BigInt(row.price),
  }));
}

export const windowOf = ({ leaseId, windowStart }: Pick<DueLine, 'leaseId' | 'windowStart'>): string =>
  `${leaseId} ${windowStart.getTime()}`;

/** What a window has come to so far. */
export interface WindowState {
  billableMs: bigint;
  costMicroUsd: bigint;
  /** Of its first charge that moved money. */
  terms: UsageTerms | null;
  borne: Shortfall;
}

/** Those of the windows that have been charged before. */
export async function chargedWindows(db: Queryable, lines: readonly DueLine[]): Promise<Map<string, WindowState>> {
  const windows = [...new Map(lines.map(line => [windowOf(line), line])).values()];
  const { rows } = await db.query<{
    lease_id: LeaseId;
    window_start: Date;
    ms: string;
    cost: string;
    asset: Asset | null;
    usd_per_io: string | null;
    fees_ppm: string | null;
    renter_short: string;
    supplier_short: string;
  }>({
    name: 'billing-charged-windows',
    text: `SELECT u.lease_id, u.window_start, sum(u.billable_ms)::text AS ms, sum(c.cost_micro_usd)::text AS cost,
             max(c.asset) AS asset, max(c.usd_per_io) AS usd_per_io, max(c.fees_ppm) AS fees_ppm,
             sum(c.renter_short)::text AS renter_short, sum(c.supplier_short)::text AS supplier_short
           FROM unnest($1::text[], $2::timestamptz[]) AS w (lease_id, window_start)
           JOIN usage_lines u ON u.lease_id = w.lease_id AND u.window_start = w.window_start
           JOIN usage_charges c ON c.usage_line_id = u.id GROUP BY u.lease_id, u.window_start`,
    values: [windows.map(({ leaseId }) => leaseId), windows.map(({ windowStart }) => windowStart)],
  });
  return new Map(
    rows.map(row => [
      windowOf({ leaseId: row.lease_id, windowStart: row.window_start }),
      {
        billableMs: BigInt(row.ms),
        costMicroUsd: BigInt(row.cost),
        terms:
          row.asset !== null && row.usd_per_io !== null && row.fees_ppm !== null
            ? { asset: row.asset, usdPerIo: parseRatio(row.usd_per_io), fees: parseFees(row.fees_ppm) }
            : null,
        borne: { renter: BigInt(row.renter_short), supplier: BigInt(row.supplier_short) },
      },
    ]),
  );
}
