/** What is used of the nodes. And trials, which are undone. */
import { cpuPriceAt, gpuPriceAt } from './figures.js';
import type { Inventory } from './inventory.js';
import { type GroupQuery, workerPrice } from './query.js';
import { classOf, evaluate } from './search.js';
import type { Stocks } from './stocks.js';
import { unitsPerDevice } from './types.js';

/** A worker that a trial has put on a pool. */
export interface Put {
  query: GroupQuery;
  ordinal: number;
  cell: number;
  pool: number;
  devices: number[];
  score: number;
  price: number;
}

/**
 * Workers put on pools, one after the other, and taken back in the opposite order: a trial leaves nothing behind. The index
 * learns of them only when somebody is about to search it (`settle`), which for most decisions is never.
 */
export class Trial {
  readonly #inventory: Inventory;
  readonly #stocks: Stocks;
  readonly puts: Put[] = [];
  price = 0;
  /** Nodes that have changed since the index was told last. */
  readonly #changed: number[] = [];
  #isKnown = false;

  constructor(inventory: Inventory, stocks: Stocks) {
    this.#inventory = inventory;
    this.#stocks = stocks;
  }

  /** The worker must have room there. `device`: on this one, else where it fits best. */
  put(query: GroupQuery, ordinal: number, cell: number, pool: number, device?: number): void {
    const { pools, figures } = this.#inventory;
    const slot = pools.node(pool);
    const preferred = query.share === query.preference ? query : { ...query, share: query.preference };
    const score = evaluate(this.#inventory, preferred, pool);
    const devices =
      device !== undefined ? [device] : query.units > 0 ? pools.choose(pool, query.whole, query.units) : [];
    const price = workerPrice(query, figures.get(slot, gpuPriceAt), figures.get(slot, cpuPriceAt));
    this.#change(1, query, pool, devices);
    this.price += price;
    this.puts.push({ query, ordinal, cell, pool, devices, score, price });
  }

  undoTo(count: number): void {
    while (this.puts.length > count) {
      const put = this.puts.pop() as Put;
      this.#change(-1, put.query, put.pool, put.devices);
      this.price -= put.price;
    }
  }

  /** Tells the index what has changed. To be called before a search that is to know of it. */
  settle(): void {
    if (this.#changed.length === 0) return;
    this.#isKnown = true;
    for (const slot of new Set(this.#changed)) this.#stocks.freeChanged(slot);
    this.#changed.length = 0;
  }

  /** Takes back everything. */
  end(): void {
    this.undoTo(0);
    if (this.#isKnown) this.settle();
  }

  #change(sign: 1 | -1, query: GroupQuery, pool: number, devices: number[]): void {
    const each = query.isShare ? query.units : unitsPerDevice;
    const { pools } = this.#inventory;
    const slot = pools.node(pool);
    for (const device of devices) pools.use(sign, device, each);
    if (devices.length > 0) pools.recount(pool);
    this.#inventory.use(sign, slot, query.cpuUnits, query.memory);
    this.#changed.push(slot);
    if (query.caps === null) return;
    const key = classOf(query.caps, slot);
    query.caps.counts.set(key, (query.caps.counts.get(key) ?? 0) + sign);
  }
}
