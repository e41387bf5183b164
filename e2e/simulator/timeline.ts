/** Virtual time: what is to happen, in the order of its time, and at one time in the order in which it was planned. */
import { OrderedHeap } from '@iocloud/control-plane/core/queueing';

interface Happening {
  atMs: number;
  number: number;
  run(): void;
}

export class Timeline {
  nowMs = 0;
  #planned = 0;
  readonly #happenings = new OrderedHeap<Happening>((one, other) =>
    one.atMs === other.atMs ? one.number < other.number : one.atMs < other.atMs,
  );

  /** What is late happens now. */
  at(atMs: number, run: () => void): void {
    this.#planned += 1;
    this.#happenings.add({ atMs: Math.max(atMs, this.nowMs), number: this.#planned, run });
  }

  /** Each when the one before it has happened: a long list is never planned as a whole. `list` is in the order of time. */
  each<T>(list: Iterable<T>, atMs: (one: T) => number, run: (one: T) => void): void {
    const rest = list[Symbol.iterator]();
    const plan = () => {
      const next = rest.next();
      if (next.done) return;
      this.at(atMs(next.value), () => {
        plan();
        run(next.value);
      });
    };
    plan();
  }

  /** False when nothing is left, or nothing before `untilMs`. */
  step(untilMs: () => number): boolean {
    const next = this.#happenings.first();
    if (!next || next.atMs > untilMs()) return false;
    this.#happenings.remove(next);
    this.nowMs = next.atMs;
    next.run();
    return true;
  }
}
