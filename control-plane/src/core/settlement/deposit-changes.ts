/** What a transaction did to token accounts, from the balances that the chain itself gives. */

export interface TokenBalance {
  account: string;
  mint: string;
  owner: string;
  amount: bigint;
}

export interface Change {
  account: string;
  mint: string;
  owner: string;
  amount: bigint;
}

/** Of accounts that any of `owners` owns, those that changed. Whatever instructions did it, however deep. */
export function changesOf(
  before: readonly TokenBalance[],
  after: readonly TokenBalance[],
  owners: ReadonlySet<string>,
): Change[] {
  const known = new Map<string, Change>();
  const add = ({ account, mint, owner, amount }: TokenBalance, sign: bigint) => {
    if (!owners.has(owner)) return;
    const change = known.get(account) ?? { account, mint, owner, amount: 0n };
    known.set(account, { ...change, amount: change.amount + sign * amount });
  };
  for (const balance of before) add(balance, -1n);
  for (const balance of after) add(balance, 1n);
  return [...known.values()].filter(({ amount }) => amount !== 0n);
}

/** Small deposits are credited once they come to the least together, all of them. */
export const creditsNow = (small: readonly bigint[], least: bigint): boolean =>
  small.length > 0 && small.reduce((sum, amount) => sum + amount, 0n) >= least;
