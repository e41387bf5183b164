/**
 * How many logins are under way at a time. After a restart all machines come at once: were all of them served side by side,
 * each would take as long as all together, more than they wait, and the work on those that give up would be lost.
 *
 * Those that wait have their turn by address, so that one that opens very many connections delays itself alone. Pure but
 * for its timer.
 */
export class LoginQueue {
  readonly #waiting = new Map<string, (() => void)[]>();
  #count = 0;
  #underWay = 0;

  constructor(
    /** Side by side. */
    readonly most: number,
    /** One that is slower than this counts no longer, and goes on. Milliseconds. */
    readonly slowMs: number,
    readonly mostWaiting: number,
  ) {}

  get waiting(): number {
    return this.#count;
  }

  /**
   * Calls `begin` in its turn; it is given what has to be called when the login is over, however it ended. False where
   * too many wait already: then it is never called.
   */
  enter(address: string, begin: (over: () => void) => void): boolean {
    if (this.#count >= this.mostWaiting) return false;
    const waiting = this.#waiting.get(address);
    const turn = () => this.#begin(begin);
    if (waiting) waiting.push(turn);
    else this.#waiting.set(address, [turn]);
    this.#count += 1;
    this.#next();
    return true;
  }

  #begin(begin: (over: () => void) => void): void {
    this.#underWay += 1;
    let isOver = false;
    const over = () => {
      if (isOver) return;
      isOver = true;
      clearTimeout(slow);
      this.#underWay -= 1;
      this.#next();
    };
    const slow = setTimeout(over, this.slowMs);
    begin(over);
  }

  #next(): void {
    while (this.#underWay < this.most) {
      const [first] = this.#waiting;
      if (!first) return;
      const [address, turns] = first;
      const turn = turns.shift();
      this.#waiting.delete(address);
      // To the end of the row of addresses.
      if (turns.length > 0) this.#waiting.set(address, turns);
      this.#count -= 1;
      turn?.();
    }
  }
}
