/** Numbers of many records side by side, one array for each field: small, and quick to run along. */
type Column = Int32Array | Float64Array | Uint8Array | Uint16Array;

/** The same column with room for `length` records (times `stride`). */
export function grown<T extends Column>(column: T, length: number): T {
  const larger = new (column.constructor as new (length: number) => T)(length);
  larger.set(column);
  return larger;
}

/** How much room to make when `needed` records do not fit: half as much again. */
export const roomFor = (needed: number): number => Math.max(16, Math.ceil(needed * 1.5));

/** Numbers from 0 that can be given back. */
export class Slots {
  #next = 0;
  readonly #free: number[] = [];

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  giveBack(slot: number): void {
    this.#free.push(slot);
  }

  /** All given so far are below this. */
  get end(): number {
    return this.#next;
  }
}
