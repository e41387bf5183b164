/** Usage lines and their charges, as metering and billing write them (0100_usage.sql). */
import type { LeaseId, TenantId } from '@iocloud/contracts';
import type { UsagePart } from '../core/invoicing/index.js';
import { pagesOf, type Queryable, type Transaction } from '../platform/index.js';

interface PartRow {
  usage_line_id: number;
  transaction_id: number | null;
  lease_id: LeaseId;
  window_start: Date;
  revision: number;
  cost: string;
  price: string;
  held: string;
  billed: string;
  reason: string;
}

const partColumns = `c.usage_line_id, c.transaction_id, u.lease_id, u.window_start, u.revision, c.reason,
  c.cost_micro_usd::text AS cost, c.micro_usd_per_hour::text AS price,
  u.device_allocated_ms::text AS held, u.device_billable_ms::text AS billed`;

const toPart = (row: PartRow): UsagePart => ({
  usageLineId: row.usage_line_id,
  leaseId: row.lease_id,
  windowStartMs: row.window_start.getTime(),
  revision: row.revision,
  costMicroUsd: BigInt(row.cost),
  microUsdPerHour: BigInt(row.price),
  heldMs: BigInt(row.held),
  billedMs: BigInt(row.billed),
});

/** By transaction, in the order of the windows. */
export async function partsOf(db: Queryable, transactionIds: readonly number[]): Promise<Map<number, UsagePart[]>> {
  const { rows } = await db.query<PartRow>(
    `SELECT ${partColumns} FROM usage_charges c JOIN usage_lines u ON u.id = c.usage_line_id
     WHERE c.transaction_id = ANY ($1) ORDER BY u.window_start, u.id`,
    [transactionIds],
  );
  const parts = new Map<number, UsagePart[]>();
  for (const row of rows) {
    if (row.transaction_id === null) continue;
    const of = parts.get(row.transaction_id);
    if (of) of.push(toPart(row));
    else parts.set(row.transaction_id, [toPart(row)]);
  }
  return parts;
}

/** Usage of the tenant in that time that costs nothing, page by page. */
export async function* freeUsage(
  tx: Transaction,
  tenantId: TenantId,
  from: Date,
  until: Date,
  atOnce: number,
): AsyncGenerator<{ part: UsagePart; reason: string }[]> {
  const text = `SELECT ${partColumns} FROM clusters k JOIN leases l ON l.cluster_id = k.id
    JOIN usage_lines u ON u.lease_id = l.id AND u.window_start >= $2 AND u.window_start < $3
    JOIN usage_charges c ON c.usage_line_id = u.id AND c.transaction_id IS NULL
    WHERE k.tenant_id = $1 ORDER BY u.id`;
  for await (const rows of pagesOf<PartRow>(tx, text, [tenantId, from, until], atOnce)) {
    yield rows.map(row => ({ part: toPart(row), reason: row.reason }));
  }
}

export interface UsageRow {
  id: number;
  lease_id: LeaseId;
  window_start: Date;
  window_seconds: number;
  revision: number;
  billable_ms: string;
  allocated_ms: string;
  device_billable_ms: string;
  device_allocated_ms: string;
  evidence: Record<string, unknown>;
  /** Null: not charged yet. */
  cost: string | null;
  price: string | null;
  usd_per_io: string | null;
  reason: string | null;
  transaction_id: number | null;
}

const usageColumns = `u.id, u.lease_id, u.window_start, u.window_seconds, u.revision, u.billable_ms::text, u.allocated_ms::text,
  u.device_billable_ms::text, u.device_allocated_ms::text, u.evidence, c.cost_micro_usd::text AS cost,
  c.micro_usd_per_hour::text AS price, c.usd_per_io, c.reason, c.transaction_id`;

export async function usageLines(db: Queryable, ids: readonly number[]): Promise<UsageRow[]> {
  const { rows } = await db.query<UsageRow>(
    `SELECT ${usageColumns} FROM usage_lines u LEFT JOIN usage_charges c ON c.usage_line_id = u.id
     WHERE u.id = ANY ($1) ORDER BY u.window_start, u.id`,
    [ids],
  );
  return rows;
}

export async function usageLineIdsOf(db: Queryable, transactionId: number): Promise<number[]> {
  const { rows } = await db.query<{ id: number }>(
    `SELECT u.id FROM usage_charges c JOIN usage_lines u ON u.id = c.usage_line_id
     WHERE c.transaction_id = $1 ORDER BY u.window_start, u.id`,
    [transactionId],
  );
  return rows.map(({ id }) => id);
}
