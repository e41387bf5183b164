/**
 * Usage becomes postings: each line a transaction of its own, many lines at a time. What they take is looked at under
 * lock first, so that nothing is refused: what a hold has not is taken from what the renter has available, and what nobody
 * has the network bears.
 */
import type { TenantId } from '@iocloud/contracts';
import {
  type Account,
  available,
  earnings,
  escrow,
  type HoldTerms,
  nameOf,
  ofNetwork,
  type Shortfall,
  type UsageStep,
  usageEntries,
} from '../core/billing/index.js';
import type { Transaction } from '../platform/index.js';
import { readHolds } from './holds.js';
import { accountIds, type Draft, post } from './post.js';

export interface UsageItem extends Omit<UsageStep, 'borne'> {
  /** Unique over all usage. */
  key: string;
  /** Lines of one window have the same; `borneBefore` is what the network bore of it before the first of them. */
  window: string;
  borneBefore: Shortfall;
  reference: string;
  supplierId: TenantId;
  /** Of a window that had been charged before. */
  isCorrection: boolean;
  memo: string;
  detail: Record<string, string>;
}

export interface UsagePosted {
  /** Null: it came to less than a unit for everybody. */
  transactionId: number | null;
  /** What the network bore of this line; below zero where it got some back. */
  borne: Shortfall;
}

/** In the order of the items, each as the ones before have left it. Holds that are not there are a bug. */
export async function settleUsage(tx: Transaction, items: readonly UsageItem[], actor: string): Promise<UsagePosted[]> {
  const holds = await readHolds(tx, [...new Set(items.map(({ reference }) => reference))]);
  const holdOf = (reference: string) => {
    const hold = holds.get(reference);
    if (!hold) throw new Error(`no hold ${reference}`);
    return hold;
  };
  const accounts = new Map<string, Account>();
  for (const { reference, supplierId } of items) {
    for (const account of accountsOf(holdOf(reference), supplierId)) accounts.set(nameOf(account), account);
  }
  const { balances, closed, ids } = await lockBalances(tx, accounts);
  const borne = new Map<string, Shortfall>();
  const drafts: (Draft | null)[] = [];
  const outcomes = items.map(item => {
    const { key, window, borneBefore, reference, supplierId, isCorrection, memo, detail, ...step } = item;
    const hold = holdOf(reference);
    const before = borne.get(window) ?? borneBefore;
    const { entries, borne: change } = usageEntries(
      { ...step, borne: before },
      {
        hold,
        isClosed: closed.has(nameOf(escrow(hold.tenantId, hold.asset, reference))),
        supplierId,
        left: account => balances.get(nameOf(account)) ?? 0n,
      },
    );
    borne.set(window, { renter: before.renter + change.renter, supplier: before.supplier + change.supplier });
    for (const { account, amount } of entries) {
      const name = nameOf(account);
      balances.set(name, (balances.get(name) ?? 0n) + amount);
    }
    const kind = isCorrection ? ('correction' as const) : ('settlement' as const);
    const asked = [reference, supplierId, String(step.before), String(step.after)];
    drafts.push(entries.length === 0 ? null : { key: `usage:${key}`, kind, asked, memo, detail, actor, entries });
    return change;
  });
  const wanted = drafts.filter(draft => draft !== null);
  const posted = wanted.length === 0 ? [] : await post(tx, wanted, ids);
  const idOf = new Map(wanted.map((draft, index) => [draft.key, posted[index]?.id ?? null]));
  return outcomes.map((change, index) => ({
    transactionId: idOf.get(drafts[index]?.key ?? '') ?? null,
    borne: change,
  }));
}

/** All that a line may move. */
const accountsOf = (hold: HoldTerms, supplierId: TenantId): Account[] => [
  escrow(hold.tenantId, hold.asset, hold.reference),
  available(hold.tenantId, hold.asset),
  earnings(supplierId),
  ...(['fees', 'rounding', 'exchange', 'adjustments'] as const).map(kind => ofNetwork(kind, hold.asset)),
  ofNetwork('exchange', 'IO'),
  ofNetwork('adjustments', 'IO'),
];

/** In the order in which every posting locks them. */
async function lockBalances(
  tx: Transaction,
  accounts: ReadonlyMap<string, Account>,
): Promise<{ balances: Map<string, bigint>; closed: Set<string>; ids: Map<string, string> }> {
  const ids = await accountIds(tx, [...accounts.values()]);
  const { rows } = await tx.query<{ id: string; balance: string; closed: boolean }>({
    name: 'ledger-lock-balances',
    text: `SELECT account_id::text AS id, balance::text, closed FROM ledger_balances WHERE account_id = ANY ($1::bigint[])
           ORDER BY account_id FOR NO KEY UPDATE`,
    values: [[...ids.values()]],
  });
  const names = new Map([...ids].map(([name, id]) => [id, name]));
  const nameOfRow = ({ id }: { id: string }) => names.get(id) ?? '';
  return {
    balances: new Map(rows.map(row => [nameOfRow(row), BigInt(row.balance)])),
    closed: new Set(rows.filter(row => row.closed).map(nameOfRow)),
    ids,
  };
}
