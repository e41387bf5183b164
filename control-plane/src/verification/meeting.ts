/**
 * Where the conversations of one supplier's devices wait for each other before each pass, so that all get their keys at one
 * moment: a device that answers for two could else keep one waiting while it works for the other.
 */
export class Meeting {
  readonly #waiting: (() => void)[] = [];

  constructor(private expected: number) {}

  /** Resolves when all that have not left are here. */
  arrive(): Promise<void> {
    return new Promise(resolve => {
      this.#waiting.push(resolve);
      this.#begin();
    });
  }

  leave(): void {
    this.expected -= 1;
    this.#begin();
  }

  #begin(): void {
    if (this.#waiting.length < this.expected) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
