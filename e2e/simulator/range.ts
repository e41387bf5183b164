/** A range of seeds in portions that may be done in any order: what is done without a gap counts, and can be gone on from. */
import type { Size } from './scenario.js';
import type { GroundKind } from './simulate.js';
import { addSums, noSums, type Sums } from './sums.js';

export interface Plan {
  from: number;
  to: number;
  /** Null: each seed draws its own. */
  size: Size | null;
  /** Null: both in turn. */
  ground: GroundKind | null;
}

export interface Portion {
  from: number;
  to: number;
}

/** To be kept in a file. */
export interface Progress extends Plan, Sums {
  nextSeed: number;
  wallSeconds: number;
  cpuSeconds: number;
}

const portionSeeds = 200;

export class Range {
  readonly #sums = noSums();
  /** Done, but not all before them. */
  readonly #early = new Map<number, { portion: Portion; sums: Sums }>();
  #nextToGive: number;
  #nextToCount: number;

  constructor(
    readonly plan: Plan,
    readonly before: Progress | null = null,
  ) {
    const differs = before && (['from', 'to', 'size', 'ground'] as const).find(key => !same(before[key], plan[key]));
    if (differs) throw new RangeError(`what is kept was of another '${differs}': ${JSON.stringify(before[differs])}`);
    if (before) addSums(this.#sums, before);
    this.#nextToGive = before?.nextSeed ?? plan.from;
    this.#nextToCount = this.#nextToGive;
  }

  /** Null: all have been given out. */
  next(): Portion | null {
    if (this.#nextToGive > this.plan.to) return null;
    const from = this.#nextToGive;
    this.#nextToGive = Math.min(this.plan.to + 1, from + portionSeeds);
    return { from, to: this.#nextToGive - 1 };
  }

  done(portion: Portion, sums: Sums): void {
    this.#early.set(portion.from, { portion, sums });
    for (let next = this.#early.get(this.#nextToCount); next; next = this.#early.get(this.#nextToCount)) {
      this.#early.delete(this.#nextToCount);
      addSums(this.#sums, next.sums);
      this.#nextToCount = next.portion.to + 1;
    }
  }

  get isDone(): boolean {
    return this.#nextToCount > this.plan.to;
  }

  /** With the time that it has taken since it was begun, or gone on with. */
  progress(wallSeconds: number, cpuSeconds: number): Progress {
    return {
      ...this.plan,
      nextSeed: this.#nextToCount,
      ...this.#sums,
      wallSeconds: (this.before?.wallSeconds ?? 0) + wallSeconds,
      cpuSeconds: (this.before?.cpuSeconds ?? 0) + cpuSeconds,
    };
  }
}

const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);
