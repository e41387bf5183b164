/** The life of a slash, and whom it takes how much from. Pure. */
import type { SlashState } from '@iocloud/contracts';
import { exactShares, sumOf } from './shares.js';

/** `expire`: the month is over. An appeal that nobody has decided by then waits for its decision. */
export type SlashEvent = 'appeal' | 'uphold' | 'reject' | 'expire';

export const slashTransitions: Record<SlashState, Partial<Record<SlashEvent, SlashState>>> = {
  open: { appeal: 'appealed', expire: 'burned' },
  appealed: { uphold: 'returned', reject: 'confirmed' },
  confirmed: { expire: 'burned' },
  returned: {},
  burned: {},
};

/** Something staked that a slash can reach: a stake, or one on its way out. */
export interface Slashable {
  /** Unique, and the order in which units that do not divide are given out. */
  key: string;
  amount: bigint;
}

/** All stakes on a machine in proportion, whoever's they are; at most all there is. */
export function slashParts<T extends Slashable>(wanted: bigint, stakes: readonly T[]): { of: T; amount: bigint }[] {
  const sorted = [...stakes].sort((a, b) => (a.key < b.key ? -1 : 1));
  const weights = sorted.map(({ amount }) => amount);
  const all = sumOf(weights);
  const shares = exactShares(wanted < all ? wanted : all, weights);
  return sorted.flatMap((of, index) => {
    const amount = shares[index] ?? 0n;
    return amount > 0n ? [{ of, amount }] : [];
  });
}
