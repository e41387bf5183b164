/** Money that crosses to the chain and back. `chain` is the other side of what the network really holds there. */
import { type Asset, type TenantId, unitsInWords } from '@iocloud/contracts';
import { available, type Entry, earnings, moved, ofNetwork, payout } from '../core/billing/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import { type Draft, post } from './post.js';
import { covered } from './refused.js';

const actor = 'settlement';

export interface ChainDeposit {
  signature: string;
  account: string;
  asset: Asset;
  amount: bigint;
  /** Null: who funds the treasury: it comes from what the network owes, and makes that less. */
  tenantId: TenantId | null;
}

/** Once for each signature and token account; all at once. Returns the transactions' ids, in order. */
export async function postDeposits(tx: Transaction, deposits: readonly ChainDeposit[]): Promise<number[]> {
  const drafts = deposits.map(({ signature, account, asset, amount, tenantId }): Draft => {
    const to = tenantId === null ? ofNetwork('exchange', asset) : available(tenantId, asset);
    return {
      key: `deposit:${signature}:${account}`,
      kind: tenantId === null ? 'transfer' : 'deposit',
      asked: [tenantId ?? '', asset, String(amount)],
      memo: tenantId === null ? 'the treasury was funded' : 'a deposit on the chain',
      detail: { signature, account },
      actor,
      entries: moved(ofNetwork('chain', asset), to, amount),
    };
  });
  return (await post(tx, drafts)).map(({ id }) => id);
}

export interface PayoutTerms {
  id: string;
  tenantId: TenantId;
  source: 'available' | 'earnings';
  asset: Asset;
  amount: bigint;
}

const sourceOf = ({ source, tenantId, asset }: PayoutTerms) =>
  source === 'earnings' ? earnings(tenantId) : available(tenantId, asset);

/** Sets the money of a payout aside. Throws Failure 'conflict' where there is less. */
export async function reservePayout(tx: Transaction, terms: PayoutTerms): Promise<void> {
  const { tenantId, asset, amount, source } = terms;
  const shortage = `${tenantId} has less than ${unitsInWords(amount, asset)} ${asset} in ${source}`;
  const entries = moved(sourceOf(terms), payout(tenantId, asset), amount);
  await covered(post(tx, [step(terms, 'reserve', 'set aside for a payout', entries)]), shortage);
}

/** They are on the chain for good, all by one transaction of it. */
export async function finishPayouts(tx: Transaction, all: readonly PayoutTerms[], signature: string): Promise<void> {
  const drafts = all.map(terms => {
    const { tenantId, asset, amount } = terms;
    return step(
      terms,
      'final',
      'paid out',
      moved(payout(tenantId, asset), ofNetwork('chain', asset), amount),
      signature,
    );
  });
  await post(tx, drafts);
}

/** It can never be on the chain. */
export async function returnPayout(tx: Transaction, terms: PayoutTerms): Promise<void> {
  const entries = moved(payout(terms.tenantId, terms.asset), sourceOf(terms), terms.amount);
  await post(tx, [step(terms, 'return', 'a payout that came back', entries)]);
}

const step = (
  { id, tenantId, source, asset, amount }: PayoutTerms,
  name: 'reserve' | 'final' | 'return',
  memo: string,
  entries: Entry[],
  signature?: string,
): Draft => ({
  key: `payout:${id}:${name}`,
  kind: 'payout',
  asked: [tenantId, source, asset, String(amount)],
  memo,
  detail: { payout: id, ...(signature === undefined ? {} : { signature }) },
  actor,
  entries,
});

/** What the network holds on the chain by the ledger. */
export async function heldOnChain(db: Queryable, asset: Asset): Promise<bigint> {
  const { rows } = await db.query<{ held: string }>(
    `SELECT (-b.balance)::text AS held FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
     WHERE a.kind = 'chain' AND a.asset = $1`,
    [asset],
  );
  return BigInt(rows[0]?.held ?? 0);
}

/** What a tenant has to pay out of. */
export async function payableBalance(
  db: Queryable,
  tenantId: TenantId,
  source: PayoutTerms['source'],
  asset: Asset,
): Promise<bigint> {
  const { rows } = await db.query<{ balance: string }>(
    `SELECT b.balance::text FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
     WHERE a.tenant_id = $1 AND a.kind = $2 AND a.asset = $3`,
    [tenantId, source, asset],
  );
  return BigInt(rows[0]?.balance ?? 0);
}
