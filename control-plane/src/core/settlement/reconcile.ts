/** Chain against books. */

export interface Position {
  onChain: bigint;
  /** By the ledger, with what came in and is too small to be credited yet. */
  inBooks: bigint;
  /** What each transaction under way takes off the chain, if it has been executed already. */
  inFlight: readonly bigint[];
}

/** What cannot be explained: zero where some of those under way, or none, make up for the whole difference. */
export function differenceOf({ onChain, inBooks, inFlight }: Position): bigint {
  const difference = onChain - inBooks;
  let sums = new Set([0n]);
  for (const amount of inFlight) sums = new Set([...sums, ...[...sums].map(sum => sum - amount)]);
  return sums.has(difference) ? 0n : difference;
}
