/** Payouts in PostgreSQL; they change by their table of transitions alone. */
import type { PayoutAddressId, PayoutId, TenantId } from '@iocloud/contracts';
import { afterPayoutEvent, type PayoutEvent, type PayoutState, payoutStates } from '../core/settlement/index.js';
import type { PayoutTerms } from '../ledger/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import type { SettledAsset } from './terms.js';

export interface Payout extends PayoutTerms {
  id: PayoutId;
  asset: SettledAsset;
  addressId: PayoutAddressId;
  address: string;
  state: PayoutState;
  alone: boolean;
  reason: string;
  requestedBy: string;
  confirmedBy: string | null;
  requestedAt: Date;
  changedAt: Date;
  signature: string | null;
}

interface Row {
  id: PayoutId;
  tenant_id: TenantId;
  source: Payout['source'];
  asset: SettledAsset;
  amount: string;
  address_id: PayoutAddressId;
  address: string;
  state: PayoutState;
  alone: boolean;
  reason: string;
  requested_by: string;
  confirmed_by: string | null;
  requested_at: Date;
  changed_at: Date;
  signature: string | null;
}

const toPayout = (row: Row): Payout => ({
  id: row.id,
  tenantId: row.tenant_id,
  source: row.source,
  asset: row.asset,
  amount: BigInt(row.amount),
  addressId: row.address_id,
  address: row.address,
  state: row.state,
  alone: row.alone,
  reason: row.reason,
  requestedBy: row.requested_by,
  confirmedBy: row.confirmed_by,
  requestedAt: row.requested_at,
  changedAt: row.changed_at,
  signature: row.signature,
});

const columns = `p.id, p.tenant_id, p.source, p.asset, p.amount::text, p.address_id, p.address, p.state, p.alone, p.reason,
  p.requested_by, p.confirmed_by, p.requested_at, p.changed_at,
  (SELECT c.signature FROM chain_transactions c WHERE c.id = p.chain_transaction_id) AS signature`;

/** Oldest first; locked, and without those that another holds. */
export async function payoutsIn(tx: Transaction, state: PayoutState, limit: number): Promise<Payout[]> {
  const { rows } = await tx.query<Row>(
    `SELECT ${columns} FROM payouts p WHERE p.state = $1 ORDER BY p.requested_at, p.id LIMIT $2 FOR UPDATE SKIP LOCKED`,
    [state, limit],
  );
  return rows.map(toPayout);
}

export async function payoutsOf(tx: Transaction, chainTransactionId: number): Promise<Payout[]> {
  const { rows } = await tx.query<Row>(
    `SELECT ${columns} FROM payouts p WHERE p.chain_transaction_id = $1 ORDER BY p.id FOR UPDATE`,
    [chainTransactionId],
  );
  return rows.map(toPayout);
}

/** Null: none of this tenant. `tenantId` null: of any. */
export async function findPayout(
  db: Queryable,
  tenantId: TenantId | null,
  id: string,
  lock = false,
): Promise<Payout | null> {
  const { rows } = await db.query<Row>(
    `SELECT ${columns} FROM payouts p WHERE p.id = $1 AND ($2::text IS NULL OR p.tenant_id = $2)${lock ? ' FOR UPDATE' : ''}`,
    [id, tenantId],
  );
  return rows[0] ? toPayout(rows[0]) : null;
}

/** Newest first. */
export async function listPayouts(
  db: Queryable,
  tenantId: TenantId | null,
  { limit, after }: { limit: number; after?: string | undefined },
): Promise<Payout[]> {
  const { rows } = await db.query<Row>(
    `SELECT ${columns} FROM payouts p
     WHERE ($1::text IS NULL OR p.tenant_id = $1)
       AND ($2::text IS NULL OR (p.requested_at, p.id) < (SELECT requested_at, id FROM payouts WHERE id = $2))
     ORDER BY p.requested_at DESC, p.id DESC LIMIT $3`,
    [tenantId, after ?? null, limit],
  );
  return rows.map(toPayout);
}

interface Also {
  chainTransactionId?: number | null;
  reason?: string;
  alone?: boolean;
  confirmedBy?: string;
}

/** False: they are no longer where the event finds them (somebody was quicker), and none of them was changed. */
export async function movePayouts(
  tx: Transaction,
  ids: readonly PayoutId[],
  event: PayoutEvent,
  also: Also = {},
): Promise<boolean> {
  const moves = payoutStates.flatMap(state => {
    const to = afterPayoutEvent(state, event);
    return to === null ? [] : [{ state, to }];
  });
  const { rows } = await tx.query<{ id: string }>(
    `SELECT p.id FROM payouts p WHERE p.id = ANY ($1) AND p.state = ANY ($2) ORDER BY p.id FOR UPDATE`,
    [ids, moves.map(({ state }) => state)],
  );
  if (rows.length !== ids.length) return false;
  await tx.query(
    `UPDATE payouts p SET state = m.target, changed_at = now(),
       chain_transaction_id = CASE WHEN $4 THEN $5::bigint ELSE p.chain_transaction_id END,
       reason = coalesce($6, p.reason), alone = coalesce($7, p.alone), confirmed_by = coalesce($8, p.confirmed_by)
     FROM unnest($2::text[], $3::text[]) AS m (origin, target) WHERE p.id = ANY ($1) AND p.state = m.origin`,
    [
      ...[ids, moves.map(({ state }) => state), moves.map(({ to }) => to)],
      ...['chainTransactionId' in also, also.chainTransactionId ?? null],
      ...[also.reason ?? null, also.alone ?? null, also.confirmedBy ?? null],
    ],
  );
  return true;
}

export async function insertPayout(
  tx: Transaction,
  payout: PayoutTerms & {
    addressId: string;
    address: string;
    state: 'requested' | 'confirmed';
    requestedBy: string;
    scheduleKey: string | null;
  },
): Promise<void> {
  const { id, tenantId, source, asset, amount, addressId, address, state, requestedBy, scheduleKey } = payout;
  await tx.query(
    `INSERT INTO payouts (id, tenant_id, source, asset, amount, address_id, address, state, requested_by, confirmed_by, schedule_key)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      ...[id, tenantId, source, asset, String(amount), addressId, address, state, requestedBy],
      ...[state === 'confirmed' ? requestedBy : null, scheduleKey],
    ],
  );
}
