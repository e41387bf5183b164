/**
 * Pools in an order of keys: for each stock a B⁺ tree whose zones (its nodes: leaves of pools, and zones of zones) carry
 * bounds. Only pools that work may be placed on are in it. Bounds are widened at once when a pool changes, as far up as
 * that makes them others, and tightened when a search opens a leaf for nothing: they are never too narrow, and looking after zones
 * that nobody searches costs nothing.
 *
 * With n pools in a stock, to enter, to leave and to change a pool costs O(log n), and most changes reach no further than a
 * zone or two.
 */
import { Bounds } from './bounds.js';
import { cardSize, writeCard } from './cards.js';
import { grown, roomFor, Slots } from './columns.js';
import type { Inventory } from './inventory.js';

/** Most members of a zone. */
export const fanOut = 16;
/** A leaf's bounds are made exact after so many changes of it and searches that opened it for nothing, together. */
const patience = 12;
/** Zones with no more members than this are put together with a neighbour, if both have no more than `roomy` then. */
const few = 4;
const roomy = 12;

const unknown = -1;

export class Forest {
  readonly #inventory: Inventory;
  readonly bounds: Bounds;
  readonly #slots = new Slots();
  readonly #blocks = new Slots();
  /** By stock; -1 where nothing is in it. */
  readonly #roots: number[] = [];
  /** Blocks of bounds for the roots of so many stocks each. */
  readonly #rootBlocks: number[] = [];
  /** By pool: the leaf that it is in, or -1; and its key. */
  #leaf = new Int32Array(0);
  #key = new Float64Array(0);
  /** By zone. Leaves have level 0. */
  level = new Uint8Array(0);
  size = new Uint8Array(0);
  /** `fanOut` each: zones in the order of their keys, or, of a leaf, pools in any order. */
  members = new Int32Array(0);
  /** Of leaves: each member's card. */
  cards = new Int32Array(0);
  #stock = new Int32Array(0);
  #parent = new Int32Array(0);
  /** Where its bounds are. */
  #row = new Int32Array(0);
  /** Where the bounds of its members are, in their order, if they are zones: `fanOut` rows from here. */
  #rows = new Int32Array(0);
  /** Of zones of zones: below this no member has a key, the first one's aside. */
  #lows = new Float64Array(0);
  /** Of a leaf, changes since its bounds were exact, and searches that opened it for nothing since the first of them. */
  #loose = new Uint8Array(0);
  /** The node with the smallest id. */
  #first = new Int32Array(0);

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
    this.bounds = new Bounds(inventory);
  }

  /** The stock's highest zone, or -1. */
  root(stock: number): number {
    return this.#roots[stock] ?? -1;
  }

  /** Where the bounds of the zone are. */
  row(zone: number): number {
    return this.#row[zone] as number;
  }

  /** Where the bounds of its first member are, of a zone of zones; those of the others follow. */
  firstRow(zone: number): number {
    return this.#rows[zone] as number;
  }

  /**
   * Enters the pool, or brings it to where it belongs by what it and its node are now. `onlyFree`: if it is in already,
   * nothing but what is free of it and its node has changed.
   */
  put(stock: number, pool: number, key: number, onlyFree: boolean): void {
    if (pool >= this.#leaf.length) this.#growPools(roomFor(pool + 1));
    const leaf = this.#leaf[pool] as number;
    if (leaf !== -1) {
      if (this.#key[pool] === key) {
        this.#loosen(leaf);
        if (!onlyFree) this.#note(leaf, this.#indexOf(leaf, pool));
        this.#widen(leaf, pool, onlyFree);
        return;
      }
      this.drop(stock, pool);
    }
    this.#key[pool] = key;
    let into = this.#find(stock, key);
    if (into === -1) {
      into = this.#create(stock, 0);
      this.#roots[stock] = into;
      this.#row[into] = this.#rootRow(stock);
      this.#fit(into);
    } else if (this.size[into] === fanOut) {
      this.#split(stock, into);
      into = this.#find(stock, key);
    }
    const size = this.size[into] as number;
    this.members[into * fanOut + size] = pool;
    this.size[into] = size + 1;
    this.#note(into, size);
    this.#leaf[pool] = into;
    this.#forgetFirst(into);
    this.#widen(into, pool, false);
  }

  /** Takes the pool out; nothing happens when it is not in. Must be called while its node has a slot. */
  drop(stock: number, pool: number): void {
    const leaf = this.#leaf[pool] ?? -1;
    if (leaf === -1) return;
    this.#leaf[pool] = -1;
    this.#remove(leaf, this.#indexOf(leaf, pool));
    this.#forgetFirst(leaf);
    this.#loosen(leaf);
    this.#shrink(stock, leaf);
  }

  /** To be called when a search opened the leaf for nothing: makes its bounds exact, if that is due. */
  tighten(leaf: number): void {
    if (this.#loose[leaf] === 0) return;
    this.#loosen(leaf);
    if ((this.#loose[leaf] as number) >= patience) this.#fitUpwards(leaf);
  }

  #loosen(leaf: number): void {
    this.#loose[leaf] = Math.min(patience, (this.#loose[leaf] as number) + 1);
  }

  /** Which stock the zone is of. */
  stock(zone: number): number {
    return this.#stock[zone] as number;
  }

  /** The node with the smallest id of all in the zone. */
  first(zone: number): number {
    const known = this.#first[zone] as number;
    if (known !== unknown) return known;
    const { ids, pools } = this.#inventory;
    const start = zone * fanOut;
    const end = start + (this.size[zone] as number);
    let best = unknown;
    for (let at = start; at < end; at++) {
      const member = this.members[at] as number;
      const node = this.level[zone] === 0 ? pools.node(member) : this.first(member);
      if (best === unknown || (ids[node] as string) < (ids[best] as string)) best = node;
    }
    this.#first[zone] = best;
    return best;
  }

  #forgetFirst(from: number): void {
    for (let zone = from; zone !== -1 && this.#first[zone] !== unknown; zone = this.#parent[zone] as number) {
      this.#first[zone] = unknown;
    }
  }

  /** The leaf where the key belongs; -1 when the stock is empty. */
  #find(stock: number, key: number): number {
    let zone = this.root(stock);
    if (zone === -1) return -1;
    while (this.level[zone] !== 0) {
      const start = zone * fanOut;
      let from = 0;
      let to = (this.size[zone] as number) - 1;
      while (from < to) {
        const middle = (from + to + 1) >> 1;
        if ((this.#lows[start + middle] as number) <= key) from = middle;
        else to = middle - 1;
      }
      zone = this.members[start + from] as number;
    }
    return zone;
  }

  #widen(from: number, pool: number, onlyFree: boolean): void {
    const { bounds } = this;
    for (let zone = from; zone !== -1; zone = this.#parent[zone] as number) {
      const row = this.#row[zone] as number;
      if (!(onlyFree ? bounds.includeFree(row, pool) : bounds.include(row, pool))) return;
    }
  }

  #fitUpwards(from: number): void {
    for (let zone = from; zone !== -1 && this.#fit(zone); ) zone = this.#parent[zone] as number;
  }

  /** Bounds exactly around the members'. False: they were. */
  #fit(zone: number): boolean {
    this.#loose[zone] = 0;
    const start = zone * fanOut;
    const size = this.size[zone] as number;
    const row = this.#row[zone] as number;
    if (this.level[zone] === 0) return this.bounds.aroundPools(row, this.members, start, start + size);
    const first = this.#rows[zone] as number;
    return this.bounds.aroundZones(row, first, first + size);
  }

  /** Halves a full zone; the upper half is a new zone beside it. */
  #split(stock: number, zone: number): void {
    let parent = this.#parent[zone] as number;
    if (parent === -1) {
      parent = this.#create(stock, (this.level[zone] as number) + 1);
      this.members[parent * fanOut] = zone;
      this.size[parent] = 1;
      this.#row[parent] = this.#row[zone] as number;
      this.bounds.copy(this.#row[zone] as number, this.#rows[parent] as number, 1);
      this.#adopt(parent);
      this.#roots[stock] = parent;
    } else if (this.size[parent] === fanOut) {
      this.#split(stock, parent);
      parent = this.#parent[zone] as number;
    }
    const level = this.level[zone] as number;
    const start = zone * fanOut;
    if (level === 0) {
      const key = this.#key;
      this.members.subarray(start, start + fanOut).sort((a, b) => (key[a] as number) - (key[b] as number));
      for (let index = 0; index < fanOut; index++) this.#note(zone, index);
    }
    const kept = fanOut / 2;
    const upper = this.members[start + kept] as number;
    const low = (level === 0 ? this.#key[upper] : this.#lows[start + kept]) as number;
    const half = this.#create(stock, level);
    this.#move(zone, kept, half, 0, fanOut - kept);
    this.size[half] = fanOut - kept;
    this.size[zone] = kept;
    this.#adopt(half);
    const at = this.#indexOf(parent, zone) + 1;
    const size = this.size[parent] as number;
    this.#move(parent, at, parent, at + 1, size - at);
    this.members[parent * fanOut + at] = half;
    this.#lows[parent * fanOut + at] = low;
    this.size[parent] = size + 1;
    this.#adopt(parent);
    this.#forgetFirst(zone);
    this.#fit(zone);
    this.#fit(half);
  }

  /** Puts a zone that has become small together with a neighbour, or does away with it. */
  #shrink(stock: number, zone: number): void {
    const size = this.size[zone] as number;
    const parent = this.#parent[zone] as number;
    if (parent === -1) {
      if (size === 0) {
        this.#roots[stock] = -1;
        this.#free(zone);
      } else if (size === 1 && this.level[zone] !== 0) {
        const only = this.members[zone * fanOut] as number;
        this.#roots[stock] = only;
        this.#parent[only] = -1;
        this.bounds.copy(this.#row[only] as number, this.#row[zone] as number, 1);
        this.#row[only] = this.#row[zone] as number;
        this.#free(zone);
        this.#shrink(stock, only);
      }
      return;
    }
    if (size > few) return;
    const start = parent * fanOut;
    const at = this.#indexOf(parent, zone);
    if (size > 0) {
      const other = at > 0 ? at - 1 : at + 1;
      if (other >= (this.size[parent] as number)) return;
      const neighbour = this.members[start + other] as number;
      if (size + (this.size[neighbour] as number) > roomy) return;
      this.#unite(at > 0 ? neighbour : zone, at > 0 ? zone : neighbour);
      this.#remove(parent, Math.max(at, other));
    } else {
      this.#remove(parent, at);
      this.#free(zone);
    }
    this.#fitUpwards(parent);
    this.#shrink(stock, parent);
  }

  #unite(zone: number, next: number): void {
    const size = this.size[zone] as number;
    const more = this.size[next] as number;
    this.#move(next, 0, zone, size, more);
    this.size[zone] = size + more;
    this.#forgetFirst(zone);
    this.#adopt(zone);
    this.#fit(zone);
    this.#free(next);
  }

  /** Writes a leaf's member's card. */
  #note(leaf: number, index: number): void {
    const at = leaf * fanOut + index;
    writeCard(this.cards, at * cardSize, this.#inventory, this.members[at] as number);
  }

  /** Tells the members whose they are, and zones where their bounds are. */
  #adopt(zone: number): void {
    const start = zone * fanOut;
    const size = this.size[zone] as number;
    for (let index = 0; index < size; index++) {
      const member = this.members[start + index] as number;
      if (this.level[zone] === 0) this.#leaf[member] = zone;
      else {
        this.#parent[member] = zone;
        this.#row[member] = (this.#rows[zone] as number) + index;
      }
    }
  }

  /** Copies members, and with zones their bounds. `#adopt` must follow. */
  #move(from: number, index: number, to: number, toIndex: number, count: number): void {
    const start = from * fanOut + index;
    this.members.copyWithin(to * fanOut + toIndex, start, start + count);
    if (this.level[from] === 0) {
      const at = (to * fanOut + toIndex) * cardSize;
      this.cards.copyWithin(at, start * cardSize, (start + count) * cardSize);
      return;
    }
    this.#lows.copyWithin(to * fanOut + toIndex, start, start + count);
    this.bounds.copy((this.#rows[from] as number) + index, (this.#rows[to] as number) + toIndex, count);
  }

  #indexOf(zone: number, member: number): number {
    const start = zone * fanOut;
    const end = start + (this.size[zone] as number);
    for (let at = start; at < end; at++) if (this.members[at] === member) return at - start;
    throw new Error(`${member} is not in zone ${zone}`);
  }

  #remove(zone: number, index: number): void {
    const size = this.size[zone] as number;
    this.#move(zone, index + 1, zone, index, size - index - 1);
    this.size[zone] = size - 1;
    if (this.level[zone] !== 0) this.#adopt(zone);
  }

  #rootRow(stock: number): number {
    const block = Math.floor(stock / fanOut);
    while (this.#rootBlocks.length <= block) this.#rootBlocks.push(this.#block());
    return (this.#rootBlocks[block] as number) + (stock % fanOut);
  }

  /** Room for the bounds of `fanOut` zones, from the number returned. */
  #block(): number {
    const first = this.#blocks.take() * fanOut;
    this.bounds.reserve(first + fanOut);
    return first;
  }

  #free(zone: number): void {
    if (this.level[zone] !== 0) this.#blocks.giveBack((this.#rows[zone] as number) / fanOut);
    this.#slots.giveBack(zone);
  }

  #create(stock: number, level: number): number {
    const zone = this.#slots.take();
    if (zone >= this.level.length) this.#growZones(roomFor(zone + 1));
    this.#stock[zone] = stock;
    this.level[zone] = level;
    this.#rows[zone] = level === 0 ? -1 : this.#block();
    this.size[zone] = 0;
    this.#parent[zone] = -1;
    this.#loose[zone] = 0;
    this.#first[zone] = unknown;
    return zone;
  }

  #growZones(length: number): void {
    this.level = grown(this.level, length);
    this.size = grown(this.size, length);
    this.members = grown(this.members, length * fanOut);
    this.cards = grown(this.cards, length * fanOut * cardSize);
    this.#parent = grown(this.#parent, length);
    this.#stock = grown(this.#stock, length);
    this.#row = grown(this.#row, length);
    this.#rows = grown(this.#rows, length);
    this.#lows = grown(this.#lows, length * fanOut);
    this.#loose = grown(this.#loose, length);
    this.#first = grown(this.#first, length);
  }

  #growPools(length: number): void {
    const known = this.#leaf.length;
    this.#leaf = grown(this.#leaf, length).fill(-1, known);
    this.#key = grown(this.#key, length);
  }
}
