/** Entries of double entry: what an account gains or gives. Pure. */
import type { AccountKind, Asset, TenantId } from '@iocloud/contracts';

export interface Account {
  kind: AccountKind;
  asset: Asset;
  /** Null: of the network itself. */
  tenantId: TenantId | null;
  /** The order that an escrow account is for. */
  hold: string | null;
}

export interface Entry {
  account: Account;
  /** Smallest unit of the account's asset; credit is positive. */
  amount: bigint;
}

export const available = (tenantId: TenantId, asset: Asset): Account => ({
  kind: 'available',
  asset,
  tenantId,
  hold: null,
});
export const earnings = (tenantId: TenantId): Account => ({ kind: 'earnings', asset: 'IO', tenantId, hold: null });
export const escrow = (tenantId: TenantId, asset: Asset, hold: string): Account => ({
  kind: 'escrow',
  asset,
  tenantId,
  hold,
});
/** On its way to the chain. */
export const payout = (tenantId: TenantId, asset: Asset): Account => ({ kind: 'payout', asset, tenantId, hold: null });
export type NetworkKind =
  | 'deposits'
  | 'fees'
  | 'rounding'
  | 'exchange'
  | 'adjustments'
  | 'chain'
  | 'emission'
  | 'burned';
export const ofNetwork = (kind: NetworkKind, asset: Asset): Account => ({
  kind,
  asset,
  tenantId: null,
  hold: null,
});

/** As the database makes it of an account's columns. */
export const nameOf = ({ kind, asset, tenantId, hold }: Account): string =>
  [kind, asset, tenantId, hold].filter(part => part !== null).join(':');

/** One entry for each account that gains or gives anything. Throws RangeError where they do not balance: that is a bug. */
export function balanced(entries: readonly Entry[]): Entry[] {
  const merged = new Map<string, Entry>();
  const sums = new Map<Asset, bigint>();
  for (const { account, amount } of entries) {
    const name = nameOf(account);
    merged.set(name, { account, amount: (merged.get(name)?.amount ?? 0n) + amount });
    sums.set(account.asset, (sums.get(account.asset) ?? 0n) + amount);
  }
  for (const [asset, sum] of sums) if (sum !== 0n) throw new RangeError(`entries sum to ${sum} units of ${asset}`);
  return [...merged.values()].filter(({ amount }) => amount !== 0n);
}

/** From one account to another of the same asset. */
export const moved = (from: Account, to: Account, amount: bigint): Entry[] =>
  balanced([
    { account: from, amount: -amount },
    { account: to, amount },
  ]);
