/**
 * So many requests at a time, and of those who wait each has its turn: whoever wants a thousand pods does not keep
 * another from its first.
 */
export class FairGate {
  private readonly lanes = new Map<string, (() => void)[]>();
  private free: number;

  constructor(slots: number) {
    this.free = slots;
  }

  async run<T>(lane: string, work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await this.turn(lane);
    try {
      return await work();
    } finally {
      this.handOn();
    }
  }

  private turn(lane: string): Promise<void> {
    return new Promise(resolve => {
      const waiting = this.lanes.get(lane);
      if (waiting) waiting.push(resolve);
      else this.lanes.set(lane, [resolve]);
    });
  }

  /** To the lane that has waited longest for a turn; it goes to the end of the row. */
  private handOn(): void {
    const first = this.lanes.entries().next().value;
    if (!first) {
      this.free += 1;
      return;
    }
    const [lane, waiting] = first;
    this.lanes.delete(lane);
    const next = waiting.shift();
    if (waiting.length > 0) this.lanes.set(lane, waiting);
    next?.();
  }
}
