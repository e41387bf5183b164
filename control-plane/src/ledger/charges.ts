/** What tenants were charged for usage and what they earned by it, for invoices and statements. */
import { type Asset, parseUnits, type TenantId, type TransactionKind } from '@iocloud/contracts';
import { chargeOf, parseFees, parseRatio } from '../core/billing/index.js';
import { pagesOf, type Queryable, type Transaction } from '../platform/index.js';

/** Whose side of a transaction: what a renter pays comes from other accounts than what a supplier earns. */
export type ChargeSide = 'renter' | 'supplier';

const sides: Record<ChargeSide, { accounts: string[]; kinds: TransactionKind[] }> = {
  renter: { accounts: ['available', 'escrow'], kinds: ['settlement', 'correction'] },
  supplier: { accounts: ['earnings'], kinds: ['settlement', 'correction', 'emission'] },
};

export interface LedgerCharge {
  transactionId: number;
  kind: 'settlement' | 'correction' | 'reversal' | 'emission';
  at: Date;
  memo: string;
  asset: Asset;
  /** What the renter paid or the supplier got; negative: given back. Never zero. */
  amount: bigint;
  /** Of the renter, on top of the rent. */
  fee: bigint;
  costMicroUsd: bigint;
  reverses: number | null;
}

interface ChargeRow {
  id: number;
  kind: LedgerCharge['kind'];
  at: Date;
  memo: string;
  asset: Asset;
  amount: string;
  /** Of the transaction that is taken back, where it is one. */
  detail: Record<string, string>;
  reverses: string | null;
}

/** The tenant's sums first: what a transaction says of itself is wide, and is not sorted along. */
const chargesSql = `
  SELECT t.id, t.kind, t.at, t.memo, t.reverses::text, own.asset, own.amount::text,
    coalesce((SELECT o.detail FROM ledger_transactions o WHERE o.id = t.reverses), t.detail) AS detail
  FROM (SELECT p.transaction_id, a.asset, sum(p.amount) AS amount
        FROM ledger_accounts a JOIN ledger_postings p ON p.account_id = a.id
        WHERE a.tenant_id = $1 AND a.kind = ANY ($2) AND p.transaction_id > $3
        GROUP BY p.transaction_id, a.asset HAVING sum(p.amount) <> 0 ORDER BY p.transaction_id) own
  JOIN ledger_transactions t ON t.id = own.transaction_id
  WHERE t.kind = ANY ($4) OR (t.kind = 'reversal' AND EXISTS (
    SELECT FROM ledger_transactions o WHERE o.id = t.reverses AND o.kind = ANY ($4)))
  ORDER BY t.id`;

/** In the order of their ids, after that one, page by page. */
export async function* chargesAfter(
  tx: Transaction,
  tenantId: TenantId,
  side: ChargeSide,
  after: number,
  atOnce: number,
): AsyncGenerator<LedgerCharge[]> {
  const { accounts, kinds } = sides[side];
  const values = [tenantId, accounts, after, kinds];
  for await (const rows of pagesOf<ChargeRow>(tx, chargesSql, values, atOnce))
    yield rows.map(row => toCharge(row, side));
}

function toCharge(row: ChargeRow, side: ChargeSide): LedgerCharge {
  const { id, kind, at, memo, asset, detail, reverses } = row;
  const sign = kind === 'reversal' ? -1n : 1n;
  const amount = side === 'renter' ? -BigInt(row.amount) : BigInt(row.amount);
  return {
    transactionId: id,
    kind,
    at,
    memo,
    asset,
    amount,
    fee: side === 'renter' ? within(sign * feesOnTop(detail, asset), amount) : 0n,
    costMicroUsd: sign * units(detail.costUsd, 'USD'),
    reverses: reverses === null ? null : Number(reverses),
  };
}

const units = (text: string | undefined, asset: Asset): bigint => {
  if (text === undefined) return 0n;
  const found = parseUnits(text, asset);
  if (found === null) throw new RangeError(`${text} is no amount of ${asset}`);
  return found;
};

/**
 * The renter's fees, as the transaction says them, or as they follow from what it says of its window: what that cost
 * before, and what it costs with it.
 */
function feesOnTop(detail: Record<string, string>, asset: Asset): bigint {
  const { feesPpm, usdPerIo, windowCostBeforeMicroUsd: before, windowCostMicroUsd: after } = detail;
  if (!feesPpm || !usdPerIo || before === undefined || after === undefined) {
    return units(detail.paymentFee, asset) + units(detail.renterReservation, asset);
  }
  const of = (costMicroUsd: string) => {
    const terms = { asset, usdPerIo: parseRatio(usdPerIo), fees: parseFees(feesPpm) };
    const { paymentFee, renterReservation } = chargeOf({ ...terms, costMicroUsd: BigInt(costMicroUsd) });
    return paymentFee + renterReservation;
  };
  return of(after) - of(before);
}

/** No more than was paid or given back: where the network bore a part, it bore the fees first. */
function within(fee: bigint, amount: bigint): bigint {
  if (amount >= 0n) return fee < 0n ? 0n : fee > amount ? amount : fee;
  return fee > 0n ? 0n : fee < amount ? amount : fee;
}

/** Tenants with charges after that transaction, and on which side. */
export async function chargedTenants(
  db: Queryable,
  after: number,
): Promise<{ tenantId: TenantId; side: ChargeSide }[]> {
  const all = Object.entries(sides) as [ChargeSide, (typeof sides)[ChargeSide]][];
  const { rows } = await db.query<{ tenant_id: TenantId; side: ChargeSide }>(
    `SELECT DISTINCT a.tenant_id, s.side
     FROM unnest($2::text[], $3::text[]) AS s (side, account)
     JOIN ledger_accounts a ON a.kind = s.account
     WHERE EXISTS (SELECT FROM ledger_postings p WHERE p.account_id = a.id AND p.transaction_id > $1)
     ORDER BY a.tenant_id, s.side`,
    [
      after,
      all.flatMap(([side, { accounts }]) => accounts.map(() => side)),
      all.flatMap(([, { accounts }]) => accounts),
    ],
  );
  return rows.map(({ tenant_id, side }) => ({ tenantId: tenant_id, side }));
}

/** When anything was first posted; null: nothing has been. */
export async function firstPostedAt(db: Queryable): Promise<Date | null> {
  const { rows } = await db.query<{ at: Date }>('SELECT at FROM ledger_transactions ORDER BY id LIMIT 1');
  return rows[0]?.at ?? null;
}

/**
 * The last transaction before all that were posted at that time or later. Ids and times grow together but for the few
 * seconds that transactions last, so halving finds the place, and a day's room makes up for them.
 */
export async function lastIdBefore(db: Queryable, at: Date): Promise<number> {
  const sinceMs = at.getTime() - 86_400_000;
  const { rows: ends } = await db.query<{ last: number | null }>('SELECT max(id) AS last FROM ledger_transactions');
  let low = 0;
  let high = ends[0]?.last ?? 0;
  while (low < high) {
    const middle = Math.floor((low + high + 1) / 2);
    const { rows } = await db.query<{ at: Date }>(
      'SELECT at FROM ledger_transactions WHERE id <= $1 ORDER BY id DESC LIMIT 1',
      [middle],
    );
    if (rows[0] && rows[0].at.getTime() >= sinceMs) high = middle - 1;
    else low = middle;
  }
  return low;
}

/** What the postings say of each pair of transaction and tenant, for a check of what was written down elsewhere. */
export async function chargeSums(
  db: Queryable,
  side: ChargeSide,
  afterId: number,
  untilId: number,
): Promise<{ transactionId: number; tenantId: TenantId; asset: Asset; amount: bigint; at: Date }[]> {
  const { accounts, kinds } = sides[side];
  const { rows } = await db.query<{ id: number; tenant_id: TenantId; asset: Asset; amount: string; at: Date }>(
    `SELECT t.id, a.tenant_id, a.asset, sum(p.amount)::text AS amount, t.at
     FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
     JOIN ledger_transactions t ON t.id = p.transaction_id LEFT JOIN ledger_transactions o ON o.id = t.reverses
     WHERE p.transaction_id > $1 AND p.transaction_id <= $2 AND a.kind = ANY ($3) AND coalesce(o.kind, t.kind) = ANY ($4)
     GROUP BY t.id, a.tenant_id, a.asset HAVING sum(p.amount) <> 0`,
    [afterId, untilId, accounts, kinds],
  );
  const sign = side === 'renter' ? -1n : 1n;
  return rows.map(row => ({
    transactionId: row.id,
    tenantId: row.tenant_id,
    asset: row.asset,
    amount: sign * BigInt(row.amount),
    at: row.at,
  }));
}

export async function lastTransactionId(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ last: number | null }>('SELECT max(id) AS last FROM ledger_transactions');
  return rows[0]?.last ?? 0;
}
