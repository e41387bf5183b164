/** Holds: money of a renter set aside for an order, paid out against usage, the rest given back once. */
import { type Asset, type Hold, type TenantId, unitsInWords } from '@iocloud/contracts';
import {
  available,
  chargeOf,
  escrow,
  type Fees,
  type HoldTerms,
  holdEntries,
  nameOf,
  type Ratio,
  releaseEntries,
  settlementEntries,
} from '../core/billing/index.js';
import {
  Batcher,
  type Database,
  Failure,
  isRefusedStatement,
  type Queryable,
  type Transaction,
} from '../platform/index.js';
import { type Draft, type Posted, post } from './post.js';
import { covered } from './refused.js';

export interface NewHold extends HoldTerms {
  amount: bigint;
  memo: string;
  actor: string;
}

/** The same reference with the same terms is the same hold. Throws Failure 'conflict'. */
export async function openHold(tx: Transaction, wanted: NewHold): Promise<Posted> {
  const { reference, tenantId, asset, amount, memo, actor } = wanted;
  const draft: Draft = {
    key: `hold:${reference}`,
    kind: 'hold',
    asked: [tenantId, asset, String(amount)],
    memo,
    detail: {},
    actor,
    entries: holdEntries(wanted, amount),
  };
  const shortage = `${tenantId} has less than ${unitsInWords(amount, asset)} ${asset} available`;
  const [posted] = await covered(post(tx, [draft]), shortage);
  return posted as Posted;
}

export interface TopUp {
  reference: string;
  /** Unique for its hold. */
  key: string;
  amount: bigint;
}

/** Holds grow, all or none; each under its key once. Throws Failure 'not-found' or 'conflict'. */
export async function topUpHolds(tx: Transaction, topUps: readonly TopUp[], actor: string): Promise<Posted[]> {
  const holds = await readHolds(
    tx,
    topUps.map(({ reference }) => reference),
  );
  const drafts = topUps.map(({ reference, key, amount }): Draft => {
    const hold = holds.get(reference);
    if (!hold) throw new Failure('not-found', `no hold ${reference}`);
    return {
      key: `top-up:${reference}:${key}`,
      kind: 'hold',
      asked: [String(amount)],
      memo: 'more for what runs on',
      detail: {},
      actor,
      entries: holdEntries(hold, amount),
    };
  });
  return covered(post(tx, drafts), 'less is available than holds are to grow by');
}

/**
 * What the tenant has available in each asset, locked with these holds of its until the transaction ends: what is there
 * can be set aside.
 */
export async function lockPurse(
  tx: Transaction,
  tenantId: TenantId,
  references: readonly string[],
): Promise<Map<Asset, bigint>> {
  const { rows } = await tx.query<{ hold: string | null; asset: Asset; balance: string }>({
    name: 'ledger-lock-purse',
    text: `SELECT a.hold, a.asset, b.balance::text FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
           WHERE a.tenant_id = $1 AND (a.kind = 'available' OR a.hold = ANY ($2)) ORDER BY b.account_id FOR NO KEY UPDATE OF b`,
    values: [tenantId, references],
  });
  return new Map(rows.flatMap(row => (row.hold === null ? [[row.asset, BigInt(row.balance)] as const] : [])));
}

/** What tenants have available in each asset. */
export async function availableOf(
  db: Queryable,
  tenantIds: readonly TenantId[],
): Promise<(tenantId: TenantId, asset: Asset) => bigint> {
  const { rows } = await db.query<{ tenant_id: TenantId; asset: Asset; balance: string }>(
    `SELECT a.tenant_id, a.asset, b.balance::text FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
     WHERE a.tenant_id = ANY ($1) AND a.kind = 'available'`,
    [tenantIds],
  );
  const balances = new Map(rows.map(row => [`${row.tenant_id} ${row.asset}`, BigInt(row.balance)]));
  return (tenantId, asset) => balances.get(`${tenantId} ${asset}`) ?? 0n;
}

export interface Settlement {
  reference: string;
  /** Unique for its hold. */
  key: string;
  supplierId: TenantId;
  costMicroUsd: bigint;
  usdPerIo: Ratio;
  memo: string;
  actor: string;
}

/**
 * Pays for usage out of holds, each whole or not at all, and all of them or none. Throws Failure 'not-found' or 'conflict'.
 */
export async function settle(tx: Transaction, fees: Fees, settlements: readonly Settlement[]): Promise<Posted[]> {
  const holds = await readHolds(tx, [...new Set(settlements.map(({ reference }) => reference))]);
  const drafts = settlements.map((settlement): Draft => {
    const { reference, key, supplierId, costMicroUsd, usdPerIo, memo, actor } = settlement;
    const hold = holds.get(reference);
    if (!hold) throw new Failure('not-found', `no hold ${reference}`);
    const charge = chargeOf({ asset: hold.asset, costMicroUsd, usdPerIo, fees });
    const words = (units: bigint) => unitsInWords(units, hold.asset);
    // What comes to less than a unit for the supplier has no entries that would pay it.
    if (charge.supplierIo === 0n) throw new Failure('bad-request', 'body.costUsd: comes to less than a unit of IO');
    return {
      key: `settlement:${reference}:${key}`,
      kind: 'settlement',
      asked: [supplierId, String(costMicroUsd), String(usdPerIo.numerator), String(usdPerIo.denominator), memo],
      memo,
      detail: {
        costUsd: unitsInWords(costMicroUsd, 'USD'),
        usdPerIo: `${usdPerIo.numerator}/${usdPerIo.denominator}`,
        paid: words(charge.paid),
        paymentFee: words(charge.paymentFee),
        renterReservation: words(charge.renterReservation),
        supplierReservation: words(charge.supplierReservation),
        rounding: words(charge.rounding),
        supplierShare: words(charge.supplierShare),
        supplierIo: unitsInWords(charge.supplierIo, 'IO'),
      },
      actor,
      entries: settlementEntries(hold, supplierId, charge),
    };
  });
  return covered(post(tx, drafts), 'the hold has less left than this costs; nothing of it was paid');
}

export const largestBatch = 500;

/**
 * Settlements that come while others are being committed go together: all of them move the same few accounts of the
 * network, so that one by one each would wait for the other's commit. One that is refused takes no other with it.
 */
export const settlementBatches = (database: Database, fees: Fees): Batcher<Settlement, Posted> =>
  new Batcher(
    settlements => database.transaction(tx => settle(tx, fees, settlements)),
    largestBatch,
    error => error instanceof Failure || isRefusedStatement(error),
  );

/** Gives back what is left and takes nothing more. Null: it was closed before, and nothing happens. */
export async function closeHold(tx: Transaction, reference: string, actor: string): Promise<bigint | null> {
  const hold = (await readHolds(tx, [reference])).get(reference);
  if (!hold) throw new Failure('not-found', `no hold ${reference}`);
  const names = [nameOf(escrow(hold.tenantId, hold.asset, reference)), nameOf(available(hold.tenantId, hold.asset))];
  // All balances that the release will move, in the order in which every posting locks them.
  await tx.query(
    `SELECT 1 FROM ledger_balances WHERE account_id IN (SELECT id FROM ledger_accounts WHERE name = ANY ($1))
     ORDER BY account_id FOR NO KEY UPDATE`,
    [names],
  );
  const now = (await readHolds(tx, [reference])).get(reference);
  if (!now || now.closed) return null;
  if (now.left > 0n) {
    await post(tx, [
      {
        key: `release:${reference}`,
        kind: 'release',
        asked: [],
        memo: 'the rest of a hold',
        detail: {},
        actor,
        entries: releaseEntries(now, now.left),
      },
    ]);
  }
  await tx.query(
    `UPDATE ledger_balances b SET closed = true FROM ledger_accounts a WHERE a.id = b.account_id AND a.name = $1`,
    [names[0]],
  );
  return now.left;
}

export interface HoldState extends HoldTerms {
  left: bigint;
  closed: boolean;
}

export async function readHolds(db: Queryable, references: readonly string[]): Promise<Map<string, HoldState>> {
  const { rows } = await db.query<{
    reference: string;
    tenant_id: TenantId;
    asset: Asset;
    balance: string;
    closed: boolean;
  }>({
    name: 'ledger-holds',
    text: `SELECT a.hold AS reference, a.tenant_id, a.asset, b.balance::text, b.closed
           FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id WHERE a.hold = ANY ($1)`,
    values: [references],
  });
  return new Map(
    rows.map(({ reference, tenant_id, asset, balance, closed }) => [
      reference,
      { reference, tenantId: tenant_id, asset, left: BigInt(balance), closed },
    ]),
  );
}

export const holdInWords = ({ reference, tenantId, asset, left, closed }: HoldState): Hold => ({
  reference,
  tenantId,
  asset,
  left: unitsInWords(left, asset),
  closed,
});
