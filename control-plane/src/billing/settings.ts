/** What a tenant sets of its billing, and what it has spent. */
import { type Asset, assets, type TenantId } from '@iocloud/contracts';
import type { CapsLeft } from '../core/billing/index.js';
import type { Queryable, Transaction } from '../platform/index.js';

export interface Settings {
  paysIn: Asset[];
  dayCapMicroUsd: number | null;
  monthCapMicroUsd: number | null;
}

const byDefault: Settings = { paysIn: [...assets], dayCapMicroUsd: null, monthCapMicroUsd: null };

export async function settingsOf(db: Queryable, tenantId: TenantId): Promise<Settings> {
  const { rows } = await db.query<{
    pays_in: Asset[];
    day_cap_micro_usd: number | null;
    month_cap_micro_usd: number | null;
  }>('SELECT pays_in, day_cap_micro_usd, month_cap_micro_usd FROM billing_settings WHERE tenant_id = $1', [tenantId]);
  const row = rows[0];
  if (!row) return byDefault;
  return { paysIn: row.pays_in, dayCapMicroUsd: row.day_cap_micro_usd, monthCapMicroUsd: row.month_cap_micro_usd };
}

export async function writeSettings(tx: Transaction, tenantId: TenantId, settings: Settings): Promise<void> {
  await tx.query(
    `INSERT INTO billing_settings (tenant_id, pays_in, day_cap_micro_usd, month_cap_micro_usd) VALUES ($1, $2, $3, $4)
     ON CONFLICT (tenant_id) DO UPDATE SET pays_in = excluded.pays_in, day_cap_micro_usd = excluded.day_cap_micro_usd,
       month_cap_micro_usd = excluded.month_cap_micro_usd`,
    [tenantId, settings.paysIn, settings.dayCapMicroUsd, settings.monthCapMicroUsd],
  );
}

/** Charged usage before fees, by the day (UTC) of its windows. */
export async function spentBy(
  db: Queryable,
  tenantId: TenantId,
  nowMs: number,
): Promise<{ day: bigint; month: bigint }> {
  const { rows } = await db.query<{ day: string; month: string }>(
    `SELECT coalesce(sum(cost_micro_usd) FILTER (WHERE day = $2::date), 0)::text AS day,
       coalesce(sum(cost_micro_usd), 0)::text AS month
     FROM tenant_spending WHERE tenant_id = $1
       AND day >= date_trunc('month', $2::date) AND day < date_trunc('month', $2::date) + interval '1 month'`,
    [tenantId, new Date(nowMs).toISOString().slice(0, 10)],
  );
  return { day: BigInt(rows[0]?.day ?? 0), month: BigInt(rows[0]?.month ?? 0) };
}

/** `accrued`: used and not charged yet. */
export async function capsLeft(
  db: Queryable,
  tenantId: TenantId,
  { dayCapMicroUsd, monthCapMicroUsd }: Settings,
  accrued: bigint,
  nowMs: number,
): Promise<CapsLeft> {
  if (dayCapMicroUsd === null && monthCapMicroUsd === null) return { day: null, month: null };
  const spent = await spentBy(db, tenantId, nowMs);
  return {
    day: dayCapMicroUsd === null ? null : BigInt(dayCapMicroUsd) - spent.day - accrued,
    month: monthCapMicroUsd === null ? null : BigInt(monthCapMicroUsd) - spent.month - accrued,
  };
}

/** When the day and the month of a time are over (UTC). */
export function periodEnds(nowMs: number): { dayEndMs: number; monthEndMs: number } {
  const now = new Date(nowMs);
  const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  return { dayEndMs: Date.UTC(year, month, day + 1), monthEndMs: Date.UTC(year, month + 1, 1) };
}
