/** Exact fractions of whole amounts. Shares are in millionths, ppm. */
export const million = 1_000_000n;

/** Of an amount that is not negative, rounded once, half up. */
export const roundedRatio = (numerator: bigint, denominator: bigint): bigint =>
  (2n * numerator + denominator) / (2n * denominator);
