/** Who has what, by the decisions alone: beside the ground's own books, so that a fault in those shows. */
import type { Claim } from './grounds.js';

/** Shares of a device add up in floats. */
const tolerance = 1e-6;

export class Ledger {
  readonly #given = new Map<string, number>();
  readonly #heldBy = new Map<string, Claim[]>();

  /** What it would be given though it is not there. Null: all is given. */
  give(holder: string, claims: Claim[]): string | null {
    if (this.#heldBy.has(holder)) return `all of it: ${holder} has a place already`;
    this.#heldBy.set(holder, claims);
    for (const { of, amount, whole } of claims) {
      const given = (this.#given.get(of) ?? 0) + amount;
      this.#given.set(of, given);
      if (given > whole + tolerance) return `${amount} of ${of}, of which ${given - amount} of ${whole} is given`;
    }
    return null;
  }

  takeBack(holder: string): void {
    for (const { of, amount } of this.#heldBy.get(holder) ?? []) {
      const left = (this.#given.get(of) ?? 0) - amount;
      if (left > tolerance) this.#given.set(of, left);
      else this.#given.delete(of);
    }
    this.#heldBy.delete(holder);
  }
}
