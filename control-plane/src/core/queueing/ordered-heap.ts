/** A binary heap that knows where its items are, so that any of them can be moved or taken out in logarithmic time. */
export class OrderedHeap<Item> {
  readonly #items: Item[] = [];
  readonly #places = new Map<Item, number>();

  /** `before` must be a total order on the items that are in at one time, else equal items make it depend on history. */
  constructor(readonly before: (one: Item, other: Item) => boolean) {}

  get size(): number {
    return this.#items.length;
  }

  first(): Item | undefined {
    return this.#items[0];
  }

  has(item: Item): boolean {
    return this.#places.has(item);
  }

  /** In no particular order. */
  values(): IterableIterator<Item> {
    return this.#places.keys();
  }

  add(item: Item): void {
    if (this.#places.has(item)) {
      this.moved(item);
      return;
    }
    this.#items.push(item);
    this.#places.set(item, this.#items.length - 1);
    this.#up(this.#items.length - 1);
  }

  /** False when it was not in. */
  remove(item: Item): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    this.#places.delete(item);
    const last = this.#items.pop() as Item;
    if (last !== item) {
      this.#items[place] = last;
      this.#places.set(last, place);
      this.#down(this.#up(place));
    }
    return true;
  }

  /** To be called when an item's order has changed while it is in. */
  moved(item: Item): void {
    const place = this.#places.get(item);
    if (place !== undefined) this.#down(this.#up(place));
  }

  #swap(one: number, other: number): void {
    const a = this.#items[one] as Item;
    const b = this.#items[other] as Item;
    this.#items[one] = b;
    this.#items[other] = a;
    this.#places.set(b, one);
    this.#places.set(a, other);
  }

  #up(from: number): number {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.before(this.#items[place] as Item, this.#items[parent] as Item)) break;
      this.#swap(place, parent);
      place = parent;
    }
    return place;
  }

  #down(from: number): void {
    let place = from;
    for (;;) {
      let least = place;
      for (const child of [2 * place + 1, 2 * place + 2]) {
        if (child >= this.#items.length) break;
        if (this.before(this.#items[child] as Item, this.#items[least] as Item)) least = child;
      }
      if (least === place) return;
      this.#swap(place, least);
      place = least;
    }
  }
}
