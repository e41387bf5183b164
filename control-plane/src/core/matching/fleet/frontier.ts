/** What a search has seen and not yet opened, the best first. */
import type { Forest } from './forest.js';
import type { Inventory } from './inventory.js';

/** In this order among equals: what is to be opened comes before the pools that it may hold. */
export const zoneEntry = 0;
export const poolEntry = 1;

/** A binary heap. Entries of one score come by their node's id, then by kind, model and group: no tie is left to chance. */
export class Frontier {
  readonly #inventory: Inventory;
  #forest: Forest;
  readonly #score: number[] = [];
  readonly #kind: number[] = [];
  readonly #ref: number[] = [];
  readonly #group: number[] = [];
  #size = 0;

  /** What `pop` took. */
  score = 0;
  kind = 0;
  ref = 0;
  group = 0;

  /** `forest`: where the zones are. */
  constructor(inventory: Inventory, forest: Forest) {
    this.#inventory = inventory;
    this.#forest = forest;
  }

  /** Empty, for another search. */
  restart(forest: Forest): void {
    this.#forest = forest;
    this.#size = 0;
  }

  push(score: number, kind: number, ref: number, group: number): void {
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(score, kind, ref, group, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, score, kind, ref, group);
  }

  /** False when it is empty. */
  pop(): boolean {
    if (this.#size === 0) return false;
    this.score = this.#score[0] as number;
    this.kind = this.#kind[0] as number;
    this.ref = this.#ref[0] as number;
    this.group = this.#group[0] as number;
    const last = --this.#size;
    if (last === 0) return true;
    const score = this.#score[last] as number;
    const kind = this.#kind[last] as number;
    const ref = this.#ref[last] as number;
    const group = this.#group[last] as number;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#entryBefore(child + 1, child)) child += 1;
      if (this.#before(score, kind, ref, group, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, score, kind, ref, group);
    return true;
  }

  #set(at: number, score: number, kind: number, ref: number, group: number): void {
    this.#score[at] = score;
    this.#kind[at] = kind;
    this.#ref[at] = ref;
    this.#group[at] = group;
  }

  #move(from: number, to: number): void {
    this.#score[to] = this.#score[from] as number;
    this.#kind[to] = this.#kind[from] as number;
    this.#ref[to] = this.#ref[from] as number;
    this.#group[to] = this.#group[from] as number;
  }

  #entryBefore(a: number, b: number): boolean {
    return this.#before(
      this.#score[a] as number,
      this.#kind[a] as number,
      this.#ref[a] as number,
      this.#group[a] as number,
      b,
    );
  }

  #before(score: number, kind: number, ref: number, group: number, other: number): boolean {
    const theirs = this.#score[other] as number;
    if (score !== theirs) return score > theirs;
    const theirKind = this.#kind[other] as number;
    const theirRef = this.#ref[other] as number;
    const node = this.#nodeOf(kind, ref);
    const theirNode = this.#nodeOf(theirKind, theirRef);
    if (node !== theirNode) return (this.#inventory.ids[node] as string) < (this.#inventory.ids[theirNode] as string);
    if (kind !== theirKind) return kind < theirKind;
    if (kind === poolEntry) {
      const order = this.#compareModels(ref, theirRef);
      if (order !== 0) return order < 0;
    }
    return group < (this.#group[other] as number);
  }

  /** Of a zone the one with the smallest id. */
  #nodeOf(kind: number, ref: number): number {
    return kind === zoneEntry ? this.#forest.zones.first(ref) : this.#inventory.pools.node(ref);
  }

  #compareModels(a: number, b: number): number {
    if (a === b) return 0;
    const { pools, models } = this.#inventory;
    const one = models.list[pools.model(a)];
    const two = models.list[pools.model(b)];
    if (!one || !two) return 0;
    if (one.slug !== two.slug) return one.slug < two.slug ? -1 : 1;
    return one.memoryBytes - two.memoryBytes || a - b;
  }
}
