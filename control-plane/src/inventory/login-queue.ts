interface Waiting {
  sinceMs: number;
  begin(over: () => void): void;
  sendAway(): void;
}

/**
 * How many logins are under way at a time. After a restart all machines come at once: were all of them served side by side,
 * each would take as long as all together, more than they wait, and the work on those that give up would be lost.
 *
 * Those that wait have their turn by address, so that one that opens very many connections delays itself alone. Who has
 * waited for long will give up in the middle: it is sent away, and comes again with all its time before it. Pure but for
 * its timer and its clock.
 */
export class LoginQueue {
  readonly #waiting = new Map<string, Waiting[]>();
  #count = 0;
  #underWay = 0;

  constructor(
    /** Side by side. */
    readonly most: number,
    /** One that is slower than this counts no longer, and goes on. Milliseconds. */
    readonly slowMs: number,
    readonly mostWaiting: number,
    /** Who has waited for longer is sent away. Milliseconds. */
    readonly longestWaitMs: number,
    readonly nowMs: () => number,
  ) {}

  get waiting(): number {
    return this.#count;
  }

  /**
   * Calls `begin` in its turn; it is given what has to be called when the login is over, however it ended. Or calls
   * `sendAway`, at once where too many wait already.
   */
  enter(address: string, begin: (over: () => void) => void, sendAway: () => void): void {
    if (this.#count >= this.mostWaiting) {
      sendAway();
      return;
    }
    const entry = { sinceMs: this.nowMs(), begin, sendAway };
    const waiting = this.#waiting.get(address);
    if (waiting) waiting.push(entry);
    else this.#waiting.set(address, [entry]);
    this.#count += 1;
    this.#next();
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
      const [address, entries] = first;
      const entry = entries.shift();
      this.#waiting.delete(address);
      // To the end of the row of addresses.
      if (entries.length > 0) this.#waiting.set(address, entries);
      this.#count -= 1;
      if (!entry) continue;
      if (this.nowMs() - entry.sinceMs > this.longestWaitMs) entry.sendAway();
      else this.#begin(entry.begin);
    }
  }
}
