/** Items in an order, of which mostly only the first are wanted: a heap that is emptied as far as it is asked. */
export class InOrder<Item> {
  readonly #sorted: Item[] = [];

  /** `heap` is taken over. `before` must be a total order. */
  constructor(
    readonly heap: Item[],
    readonly before: (one: Item, other: Item) => boolean,
  ) {
    for (let at = (heap.length >> 1) - 1; at >= 0; at -= 1) this.#down(at);
  }

  get length(): number {
    return this.#sorted.length + this.heap.length;
  }

  /** 0 ≤ `index` < length. */
  at(index: number): Item {
    while (this.#sorted.length <= index) this.#sorted.push(this.#pop());
    return this.#sorted[index] as Item;
  }

  first(count: number): Item[] {
    if (count > 0) this.at(count - 1);
    return this.#sorted.slice(0, count);
  }

  #pop(): Item {
    const { heap } = this;
    const least = heap[0] as Item;
    const last = heap.pop() as Item;
    if (heap.length > 0) {
      heap[0] = last;
      this.#down(0);
    }
    return least;
  }

  #down(from: number): void {
    const { heap, before } = this;
    const item = heap[from] as Item;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Item, heap[child] as Item)) child += 1;
      if (!before(heap[child] as Item, item)) break;
      heap[place] = heap[child] as Item;
      place = child;
    }
    heap[place] = item;
  }
}
