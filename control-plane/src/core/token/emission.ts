/**
 * How many tokens each hour emits. Hour n of the schedule emits
 *
 *   ⌊ E₁ · k^((n − 1) / 730) ⌋ units,  E₁ = initial supply · first year's rate / 8,760,  k = 1 − monthly decline,
 *
 * as a month is 730 hours (8,760 / 12); never more than is left below the cap. In fixed point of 40 decimals, which is 28
 * more than an hour's amount has digits: emission.test.ts holds it to the exact power. Pure.
 */
export interface EmissionTerms {
  /** Smallest units of IO. */
  initialSupply: bigint;
  cap: bigint;
  /** Of the initial supply, millionths. */
  firstYearPpm: bigint;
  monthlyDeclinePpm: bigint;
  hours: number;
}

const million = 1_000_000n;
export const hoursPerMonth = 730;
const hoursPerYear = 8_760n;
const scale = 10n ** 40n;
const unitsPerIo = 10n ** 8n;

export const publishedEmission: EmissionTerms = {
  initialSupply: 500_000_000n * unitsPerIo,
  cap: 800_000_000n * unitsPerIo,
  firstYearPpm: 80_000n,
  monthlyDeclinePpm: 10_200n,
  hours: 175_320,
};

/** The largest whole number whose `degree`-th power is at most `value`, by Newton's method from above. */
function wholeRoot(value: bigint, degree: bigint, from: bigint): bigint {
  let root = from;
  for (;;) {
    const next = ((degree - 1n) * root + value / root ** (degree - 1n)) / degree;
    if (next >= root) return root;
    root = next;
  }
}

/** 1, k, k², … as far as `count`, each rounded down. */
function powers(factor: bigint, count: number): bigint[] {
  const all = [scale];
  while (all.length < count) all.push(((all.at(-1) ?? 0n) * factor) / scale);
  return all;
}

export class EmissionSchedule {
  /** Through each hour, from hour 0. */
  readonly #through: bigint[] = [0n];

  constructor(readonly terms: EmissionTerms) {
    const { initialSupply, cap, firstYearPpm, monthlyDeclinePpm, hours } = terms;
    const kept = (scale * (million - monthlyDeclinePpm)) / million;
    const degree = BigInt(hoursPerMonth);
    const months = powers(kept, Math.ceil(hours / hoursPerMonth));
    const within = powers(wholeRoot(kept * scale ** (degree - 1n), degree, scale), hoursPerMonth);
    const divisor = hoursPerYear * million * scale * scale;
    let total = 0n;
    for (let at = 0; at < hours; at += 1) {
      const factor = (months[Math.floor(at / hoursPerMonth)] ?? 0n) * (within[at % hoursPerMonth] ?? 0n);
      const exact = (initialSupply * firstYearPpm * factor) / divisor;
      const left = cap - initialSupply - total;
      total += exact < left ? exact : left;
      this.#through.push(total);
    }
  }

  get hours(): number {
    return this.terms.hours;
  }

  /** Smallest units; 0 after the last hour. Hour 1 is the first. */
  amount(hour: number): bigint {
    return this.through(hour) - this.through(hour - 1);
  }

  /** Of hour 1 up to and with this one. */
  through(hour: number): bigint {
    return this.#through[Math.max(0, Math.min(hour, this.hours))] ?? 0n;
  }
}
