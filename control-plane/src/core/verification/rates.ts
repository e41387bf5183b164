/**
 * How often a device that is what it says is turned away, and how often one that is not is caught. Pure.
 *
 * A challenge has n passes, each timed by itself; a device passes if at least k of them were done in time: then one pass
 * that something else slowed, or that was lucky, decides nothing. With q the part of its passes that a device does in time,
 *
 *   P(passes) = Σ from i = k to n of C(n,i) qⁱ (1-q)ⁿ⁻ⁱ      (H. A. David and H. N. Nagaraja, "Order Statistics", 2.1)
 *
 * which holds while passes are independent. A failed challenge is given once more before it counts, at another time.
 */

/** At least `needed` of `count` independent tries with chance `chance` each. */
export function atLeast(count: number, needed: number, chance: number): number {
  let [sum, ways] = [0, 1];
  for (let hits = 0; hits <= count; hits += 1) {
    if (hits >= needed) sum += ways * chance ** hits * (1 - chance) ** (count - hits);
    ways = (ways * (count - hits)) / (hits + 1);
  }
  return Math.min(1, sum);
}

export interface TimeTest {
  passes: number;
  /** So many of them have to be in time. */
  needed: number;
  /** Challenges before a verdict of time: the last one that fails counts. */
  tries: number;
}

/** Of a device of which the part `inTime` of all passes is in time. */
export const rejectRate = ({ passes, needed, tries }: TimeTest, inTime: number): number =>
  (1 - atLeast(passes, needed, inTime)) ** tries;

/** The chance that one of `spots` drawn numbers is among the part `wrong` of all. */
export const spotted = (wrong: number, spots: number): number => 1 - (1 - wrong) ** spots;

/**
 * What is certain, with `confidence`, of the part of passes that are late, when `late` of `of` were: the upper end of the
 * interval of C. J. Clopper and E. S. Pearson, 1934, by bisection.
 */
export function latestShare(late: number, of: number, confidence = 0.95): number {
  if (late >= of) return 1;
  let [low, high] = [late / of, 1];
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (1 - atLeast(of, late + 1, middle) > 1 - confidence) low = middle;
    else high = middle;
  }
  return high;
}

/** How much longer a pass takes whoever holds only `held` of each layer; `pass` counts from 1. See work.ts. */
export function recomputation(held: number, pass: number): number {
  let products = 1;
  for (let layer = 1; layer < pass; layer += 1) products = 1 + 2 * (1 - held) * products;
  return products;
}
