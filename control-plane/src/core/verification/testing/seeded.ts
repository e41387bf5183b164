/** Random numbers from a seed, for outcomes that come again. */
export interface Seeded {
  /** From 0 to below 1. */
  next(): number;
  below(limit: number): number;
  /** Of the standard normal distribution (G. E. P. Box and M. E. Muller, 1958). */
  normal(): number;
}

/** Looked up once: Jest makes each look at a global dear. */
const { imul, floor, sqrt, log, cos, PI } = Math;

/** T. Ettinger's mulberry32. */
export function seeded(seed: number): Seeded {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    below: limit => floor(next() * limit),
    normal: () => sqrt(-2 * log(1 - next())) * cos(2 * PI * next()),
  };
}
