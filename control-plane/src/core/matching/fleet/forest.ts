/**
 * Pools in an order of keys: for each stock a B⁺ tree whose zones (its nodes: leaves of pools, and zones of zones) carry
 * bounds. Only pools that work may be placed on are in it. Bounds are widened at once when a pool changes, as far up as
 * that makes them others, and tightened after searches that opened a leaf for nothing: they are never too narrow, and
 * looking after zones that nobody searches costs nothing.
 *
 * With n pools in a stock, to enter, to leave and to change a pool costs O(log n), and most changes reach no further than a
 * zone or two.
 */
import { grown, roomFor } from './columns.js';
import type { Inventory } from './inventory.js';
import { fanOut, Zones } from './zones.js';

/** A leaf's bounds are made exact after so many changes of it and searches that opened it for nothing, together. */
const patience = 12;
/** Zones with no more members than this are put together with a neighbour, if both have no more than `roomy` then. */
const few = 4;
const roomy = 12;

export class Forest {
  /** By stock; -1 where nothing is in it. */
  readonly #roots: number[] = [];
  /** By pool. */
  #key = new Float64Array(0);
  readonly zones: Zones;

  constructor(inventory: Inventory) {
    this.zones = new Zones(inventory);
  }

  /** The stock's highest zone, or -1. */
  root(stock: number): number {
    return this.#roots[stock] ?? -1;
  }

  /**
   * Enters the pool, or brings it to where it belongs by what it and its node are now. `onlyFree`: if it is in already,
   * nothing but what is free of it and its node has changed.
   */
  put(stock: number, pool: number, key: number, onlyFree: boolean): void {
    if (pool >= this.#key.length) this.#grow(roomFor(pool + 1));
    const leaf = this.zones.leaf[pool] as number;
    if (leaf !== -1) {
      if (this.#key[pool] === key) {
        this.#loosen(leaf);
        if (!onlyFree) this.zones.note(leaf, this.zones.indexOf(leaf, pool));
        this.#widen(leaf, pool, onlyFree);
        return;
      }
      this.drop(stock, pool);
    }
    this.#key[pool] = key;
    let into = this.#find(stock, key);
    if (into === -1) {
      into = this.zones.create(stock, 0);
      this.#roots[stock] = into;
      this.zones.row[into] = this.zones.rootRow(stock);
      this.#fit(into);
    } else if (this.zones.size[into] === fanOut) {
      this.#split(stock, into);
      into = this.#find(stock, key);
    }
    const size = this.zones.size[into] as number;
    this.zones.members[into * fanOut + size] = pool;
    this.zones.size[into] = size + 1;
    this.zones.note(into, size);
    this.zones.leaf[pool] = into;
    this.zones.forgetFirst(into);
    this.#widen(into, pool, false);
  }

  /** Takes the pool out; nothing happens when it is not in. Must be called while its node has a slot. */
  drop(stock: number, pool: number): void {
    const leaf = this.zones.leaf[pool] ?? -1;
    if (leaf === -1) return;
    this.zones.leaf[pool] = -1;
    this.zones.remove(leaf, this.zones.indexOf(leaf, pool));
    this.zones.forgetFirst(leaf);
    this.#loosen(leaf);
    this.#shrink(stock, leaf);
  }

  /** To be called when a search opened the leaf for nothing: makes its bounds exact, if that is due. */
  tighten(leaf: number): void {
    if (this.zones.loose[leaf] === 0) return;
    this.#loosen(leaf);
    if ((this.zones.loose[leaf] as number) >= patience) this.#fitUpwards(leaf);
  }

  #loosen(leaf: number): void {
    this.zones.loose[leaf] = Math.min(patience, (this.zones.loose[leaf] as number) + 1);
  }

  /** The leaf where the key belongs; -1 when the stock is empty. */
  #find(stock: number, key: number): number {
    let zone = this.root(stock);
    if (zone === -1) return -1;
    while (this.zones.level[zone] !== 0) {
      const start = zone * fanOut;
      let from = 0;
      let to = (this.zones.size[zone] as number) - 1;
      while (from < to) {
        const middle = (from + to + 1) >> 1;
        if ((this.zones.lows[start + middle] as number) <= key) from = middle;
        else to = middle - 1;
      }
      zone = this.zones.members[start + from] as number;
    }
    return zone;
  }

  #widen(from: number, pool: number, onlyFree: boolean): void {
    const { bounds } = this.zones;
    for (let zone = from; zone !== -1; zone = this.zones.parent[zone] as number) {
      const row = this.zones.row[zone] as number;
      if (!(onlyFree ? bounds.includeFree(row, pool) : bounds.include(row, pool))) return;
    }
  }

  #fitUpwards(from: number): void {
    for (let zone = from; zone !== -1 && this.#fit(zone); ) zone = this.zones.parent[zone] as number;
  }

  /** Bounds exactly around the members'. False: they were. */
  #fit(zone: number): boolean {
    this.zones.loose[zone] = 0;
    const start = zone * fanOut;
    const size = this.zones.size[zone] as number;
    const row = this.zones.row[zone] as number;
    if (this.zones.level[zone] === 0)
      return this.zones.bounds.aroundPools(row, this.zones.members, start, start + size);
    const first = this.zones.rows[zone] as number;
    return this.zones.bounds.aroundZones(row, first, first + size);
  }

  /** Halves a full zone; the upper half is a new zone beside it. */
  #split(stock: number, zone: number): void {
    let parent = this.zones.parent[zone] as number;
    if (parent === -1) {
      parent = this.zones.create(stock, (this.zones.level[zone] as number) + 1);
      this.zones.members[parent * fanOut] = zone;
      this.zones.size[parent] = 1;
      this.zones.row[parent] = this.zones.row[zone] as number;
      this.zones.bounds.copy(this.zones.row[zone] as number, this.zones.rows[parent] as number, 1);
      this.zones.adopt(parent);
      this.#roots[stock] = parent;
    } else if (this.zones.size[parent] === fanOut) {
      this.#split(stock, parent);
      parent = this.zones.parent[zone] as number;
    }
    const level = this.zones.level[zone] as number;
    const start = zone * fanOut;
    if (level === 0) {
      const key = this.#key;
      this.zones.members.subarray(start, start + fanOut).sort((a, b) => (key[a] as number) - (key[b] as number));
      for (let index = 0; index < fanOut; index++) this.zones.note(zone, index);
    }
    const kept = fanOut / 2;
    const upper = this.zones.members[start + kept] as number;
    const low = (level === 0 ? this.#key[upper] : this.zones.lows[start + kept]) as number;
    const half = this.zones.create(stock, level);
    this.zones.move(zone, kept, half, 0, fanOut - kept);
    this.zones.size[half] = fanOut - kept;
    this.zones.size[zone] = kept;
    this.zones.adopt(half);
    const at = this.zones.indexOf(parent, zone) + 1;
    const size = this.zones.size[parent] as number;
    this.zones.move(parent, at, parent, at + 1, size - at);
    this.zones.members[parent * fanOut + at] = half;
    this.zones.lows[parent * fanOut + at] = low;
    this.zones.size[parent] = size + 1;
    this.zones.adopt(parent);
    this.zones.forgetFirst(zone);
    this.#fit(zone);
    this.#fit(half);
  }

  /** Puts a zone that has become small together with a neighbour, or does away with it. */
  #shrink(stock: number, zone: number): void {
    const size = this.zones.size[zone] as number;
    const parent = this.zones.parent[zone] as number;
    if (parent === -1) {
      if (size === 0) {
        this.#roots[stock] = -1;
        this.zones.free(zone);
      } else if (size === 1 && this.zones.level[zone] !== 0) {
        const only = this.zones.members[zone * fanOut] as number;
        this.#roots[stock] = only;
        this.zones.parent[only] = -1;
        this.zones.bounds.copy(this.zones.row[only] as number, this.zones.row[zone] as number, 1);
        this.zones.row[only] = this.zones.row[zone] as number;
        this.zones.free(zone);
        this.#shrink(stock, only);
      }
      return;
    }
    if (size > few) return;
    const start = parent * fanOut;
    const at = this.zones.indexOf(parent, zone);
    if (size > 0) {
      const other = at > 0 ? at - 1 : at + 1;
      if (other >= (this.zones.size[parent] as number)) return;
      const neighbour = this.zones.members[start + other] as number;
      if (size + (this.zones.size[neighbour] as number) > roomy) return;
      this.#unite(at > 0 ? neighbour : zone, at > 0 ? zone : neighbour);
      this.zones.remove(parent, Math.max(at, other));
    } else {
      this.zones.remove(parent, at);
      this.zones.free(zone);
    }
    this.#fitUpwards(parent);
    this.#shrink(stock, parent);
  }

  #unite(zone: number, next: number): void {
    const size = this.zones.size[zone] as number;
    const more = this.zones.size[next] as number;
    this.zones.move(next, 0, zone, size, more);
    this.zones.size[zone] = size + more;
    this.zones.forgetFirst(zone);
    this.zones.adopt(zone);
    this.#fit(zone);
    this.zones.free(next);
  }

  #grow(length: number): void {
    this.zones.growPools(length);
    this.#key = grown(this.#key, length);
  }
}
