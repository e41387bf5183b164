/**
 * The index over all pools: audience → model → blocks of at most 64 pools that are alike, and, for the shared fleet, a
 * second way to the same pools by place: audience → model → place → blocks. The first serves requests that may go almost
 * anywhere, the second those that name countries or want to be near something.
 */
import type { Inventory } from './inventory.js';
import { noModel } from './pools.js';
import { type Zones, zoneCapacity } from './zones.js';

/** All pools of one model that one audience may use. */
export interface Stock {
  id: number;
  audience: number;
  model: number;
  /** Around all blocks. */
  zone: number;
  blocks: number[];
  /** Null for what belongs to one owner: that is little. */
  places: Map<number, number[]> | null;
}

const kinds = 4;

export class Stocks {
  readonly #inventory: Inventory;
  readonly #zones: Zones;
  readonly list: Stock[] = [];
  /** By audience and model. */
  readonly #byAudience = new Map<number, Stock[]>();
  /** By block: sums over its pools of what pools are told apart by, to find the block that a pool is most alike to. */
  readonly #sums: number[] = [];

  constructor(inventory: Inventory, zones: Zones) {
    this.#inventory = inventory;
    this.#zones = zones;
  }

  of(audience: number, model: number): Stock | undefined {
    return this.#byAudience.get(audience)?.[model];
  }

  add(pool: number): void {
    const { pools, audience, place } = this.#inventory;
    const slot = pools.node[pool] as number;
    const stock = this.#stock(audience[slot] as number, pools.model[pool] as number);
    pools.stock[pool] = stock.id;
    pools.block[pool] = this.#insert(stock.blocks, pool, pools.block);
    this.#zones.widen(stock.zone, pool);
    if (stock.places === null) return;
    const here = place[slot] as number;
    const blocks = stock.places.get(here) ?? [];
    stock.places.set(here, blocks);
    pools.placeBlock[pool] = this.#insert(blocks, pool, pools.placeBlock);
  }

  /** Must be called while the pool's node still is what it was when the pool was added. */
  drop(pool: number): void {
    const { pools, place } = this.#inventory;
    const stock = this.list[pools.stock[pool] as number];
    if (stock === undefined) return;
    this.#remove(stock.blocks, pools.block[pool] as number, pool, pools.block);
    this.#zones.dirty[stock.zone] = (this.#zones.dirty[stock.zone] as number) + 1;
    pools.stock[pool] = -1;
    pools.block[pool] = -1;
    if (stock.places === null) return;
    const here = place[pools.node[pool] as number] as number;
    const blocks = stock.places.get(here) ?? [];
    this.#remove(blocks, pools.placeBlock[pool] as number, pool, pools.placeBlock);
    pools.placeBlock[pool] = -1;
    if (blocks.length === 0) stock.places.delete(here);
  }

  /** What is free of the pool, or of its node, has changed. */
  changed(pool: number): void {
    const { pools } = this.#inventory;
    const stock = this.list[pools.stock[pool] as number];
    if (stock === undefined) return;
    const zones = this.#zones;
    zones.widen(stock.zone, pool);
    zones.widen(pools.block[pool] as number, pool);
    const placeBlock = pools.placeBlock[pool] as number;
    if (placeBlock !== -1) zones.widen(placeBlock, pool);
  }

  #stock(audience: number, model: number): Stock {
    const byModel = this.#byAudience.get(audience) ?? [];
    this.#byAudience.set(audience, byModel);
    const known = byModel[model];
    if (known !== undefined) return known;
    const stock: Stock = {
      id: this.list.length,
      audience,
      model,
      zone: this.#zones.create(),
      blocks: [],
      places: audience === 0 ? new Map() : null,
    };
    byModel[model] = stock;
    this.list.push(stock);
    return stock;
  }

  #insert(blocks: number[], pool: number, blockOf: Int32Array): number {
    let block = this.#nearest(blocks, pool);
    // Once a block is halved another one may be nearer, and full as well.
    while (block !== -1 && this.#zones.size[block] === zoneCapacity) {
      blocks.push(this.#split(block, blockOf));
      block = this.#nearest(blocks, pool);
    }
    if (block === -1) {
      block = this.#create();
      blocks.push(block);
    }
    this.#enter(block, pool);
    return block;
  }

  #remove(blocks: number[], block: number, pool: number, blockOf: Int32Array): void {
    this.#exit(block, pool);
    const size = this.#zones.size[block] as number;
    if (size >= zoneCapacity / 8 || (blocks.length === 1 && size > 0)) return;
    blocks.splice(blocks.indexOf(block), 1);
    const start = block * zoneCapacity;
    const rest = [...this.#zones.members.subarray(start, start + size)];
    this.#zones.free(block);
    for (const other of rest) blockOf[other] = this.#insert(blocks, other, blockOf);
  }

  /** Halves a full block along what its pools differ most in; returns the new one. */
  #split(block: number, blockOf: Int32Array): number {
    const start = block * zoneCapacity;
    const members = [...this.#zones.members.subarray(start, start + zoneCapacity)];
    let widest = 0;
    let width = -1;
    for (let kind = 0; kind < kinds; kind++) {
      const values = members.map(pool => this.#feature(pool, kind));
      const here = Math.max(...values) - Math.min(...values);
      if (here > width) {
        width = here;
        widest = kind;
      }
    }
    members.sort((a, b) => this.#feature(a, widest) - this.#feature(b, widest));
    const half = this.#create();
    for (const pool of members.slice(zoneCapacity / 2)) {
      this.#exit(block, pool);
      this.#enter(half, pool);
      blockOf[pool] = half;
    }
    return half;
  }

  /** The block whose mean is nearest; -1 when there is no block. */
  #nearest(blocks: number[], pool: number): number {
    if (blocks.length <= 1) return blocks[0] ?? -1;
    const a = this.#feature(pool, 0);
    const b = this.#feature(pool, 1);
    const c = this.#feature(pool, 2);
    const d = this.#feature(pool, 3);
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const block of blocks) {
      const size = this.#zones.size[block] as number;
      const at = block * kinds;
      const distance =
        (a - (this.#sums[at] as number) / size) ** 2 +
        (b - (this.#sums[at + 1] as number) / size) ** 2 +
        (c - (this.#sums[at + 2] as number) / size) ** 2 +
        (d - (this.#sums[at + 3] as number) / size) ** 2;
      if (distance < least) {
        least = distance;
        best = block;
      }
    }
    return best;
  }

  #create(): number {
    const block = this.#zones.create();
    this.#sums.length = Math.max(this.#sums.length, (block + 1) * kinds);
    for (let kind = 0; kind < kinds; kind++) this.#sums[block * kinds + kind] = 0;
    return block;
  }

  #enter(block: number, pool: number): void {
    this.#zones.add(block, pool);
    this.#count(block, pool, 1);
  }

  #exit(block: number, pool: number): void {
    this.#zones.drop(block, pool);
    this.#count(block, pool, -1);
  }

  #count(block: number, pool: number, sign: 1 | -1): void {
    for (let kind = 0; kind < kinds; kind++) {
      const at = block * kinds + kind;
      this.#sums[at] = (this.#sums[at] as number) + sign * this.#feature(pool, kind);
    }
  }

  /** What pools of one model are told apart by, each from 0 to 1. */
  #feature(pool: number, kind: number): number {
    const inventory = this.#inventory;
    const slot = inventory.pools.node[pool] as number;
    if (kind === 1) return inventory.reputation[slot] as number;
    if (kind === 2) return inventory.stake[slot] as number;
    if (kind === 3) return inventory.load[slot] as number;
    return inventory.basePricePart(slot, inventory.pools.model[pool] !== noModel);
  }
}
