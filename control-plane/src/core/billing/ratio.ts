/** Exact fractions of whole numbers: prices and fees meet no float. Pure. */
export interface Ratio {
  numerator: bigint;
  /** Above zero. */
  denominator: bigint;
}

/** `1.85`, `37/20`, `1.5/2`; above zero. Throws RangeError on anything else: callers have checked what people typed. */
export function parseRatio(text: string): Ratio {
  const [, whole = '', fraction = '', divisor = '1'] = /^(\d+)(?:\.(\d+))?(?:\/(\d+))?$/.exec(text) ?? [];
  const numerator = BigInt(whole + fraction);
  const denominator = 10n ** BigInt(fraction.length) * BigInt(divisor);
  if (numerator === 0n || denominator === 0n) throw new RangeError(`"${text}" is no ratio above zero`);
  return { numerator, denominator };
}

/** The one rounding rule of the ledger: down, to the whole unit. For amounts of zero or more. */
export const roundedDown = ({ numerator, denominator }: Ratio): bigint => numerator / denominator;

export const times = (left: Ratio, right: Ratio): Ratio => ({
  numerator: left.numerator * right.numerator,
  denominator: left.denominator * right.denominator,
});
