/** What a search has seen and not yet opened, the best first. */
import type { Inventory } from './inventory.js';

/** In this order among equals: what is to be opened comes before the pools that it may hold. */
export const stockEntry = 0;
export const blockEntry = 1;
export const poolEntry = 2;

/** A binary heap. Entries of one score come by their node's id, then by kind, model and group: no tie is left to chance. */
export class Frontier {
  readonly #inventory: Inventory;
  readonly #score: number[] = [];
  readonly #kind: number[] = [];
  readonly #ref: number[] = [];
  readonly #group: number[] = [];
  /** The node, of a block the one with the smallest id; -1: before all nodes. */
  readonly #node: number[] = [];
  #size = 0;

  /** What `pop` took. */
  score = 0;
  kind = 0;
  ref = 0;
  group = 0;

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  clear(): void {
    this.#size = 0;
  }

  push(score: number, kind: number, ref: number, group: number, node: number): void {
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(score, kind, ref, group, node, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, score, kind, ref, group, node);
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
    const node = this.#node[last] as number;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#entryBefore(child + 1, child)) child += 1;
      if (this.#before(score, kind, ref, group, node, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, score, kind, ref, group, node);
    return true;
  }

  #set(at: number, score: number, kind: number, ref: number, group: number, node: number): void {
    this.#score[at] = score;
    this.#kind[at] = kind;
    this.#ref[at] = ref;
    this.#group[at] = group;
    this.#node[at] = node;
  }

  #move(from: number, to: number): void {
    this.#score[to] = this.#score[from] as number;
    this.#kind[to] = this.#kind[from] as number;
    this.#ref[to] = this.#ref[from] as number;
    this.#group[to] = this.#group[from] as number;
    this.#node[to] = this.#node[from] as number;
  }

  #entryBefore(a: number, b: number): boolean {
    return this.#before(
      this.#score[a] as number,
      this.#kind[a] as number,
      this.#ref[a] as number,
      this.#group[a] as number,
      this.#node[a] as number,
      b,
    );
  }

  #before(score: number, kind: number, ref: number, group: number, node: number, other: number): boolean {
    const theirs = this.#score[other] as number;
    if (score !== theirs) return score > theirs;
    const theirNode = this.#node[other] as number;
    if (node !== theirNode) {
      if (node === -1 || theirNode === -1) return node === -1;
      return (this.#inventory.ids[node] as string) < (this.#inventory.ids[theirNode] as string);
    }
    const theirKind = this.#kind[other] as number;
    if (kind !== theirKind) return kind < theirKind;
    if (kind === poolEntry) {
      const order = this.#compareModels(ref, this.#ref[other] as number);
      if (order !== 0) return order < 0;
    }
    return group < (this.#group[other] as number);
  }

  #compareModels(a: number, b: number): number {
    if (a === b) return 0;
    const { pools, models } = this.#inventory;
    const one = models.list[pools.model[a] as number];
    const two = models.list[pools.model[b] as number];
    if (!one || !two) return 0;
    if (one.slug !== two.slug) return one.slug < two.slug ? -1 : 1;
    return one.memoryBytes - two.memoryBytes || a - b;
  }
}
