/** Whole units divided by weight. Pure. */

export const sumOf = (amounts: readonly bigint[]): bigint => amounts.reduce((sum, amount) => sum + amount, 0n);

/** Each rounded down; what is left over is the caller's to name. Weights of zero or more. */
export function roundedShares(total: bigint, weights: readonly bigint[]): bigint[] {
  const all = sumOf(weights);
  return weights.map(weight => (all === 0n ? 0n : (total * weight) / all));
}

/**
 * All of `total`, nothing left over: each gets its exact share, rounded up or down so that no beginning of the list has been
 * given a unit more than it is due. Never more than a weight, where `total` is at most their sum.
 */
export function exactShares(total: bigint, weights: readonly bigint[]): bigint[] {
  const all = sumOf(weights);
  if (all === 0n) return weights.map(() => 0n);
  let weight = 0n;
  let given = 0n;
  return weights.map(each => {
    weight += each;
    const due = (total * weight) / all - given;
    given += due;
    return due;
  });
}
