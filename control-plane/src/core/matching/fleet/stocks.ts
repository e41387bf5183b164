/**
 * The index over all pools that work may be placed on: for each audience and model a stock, and each stock's pools in two
 * orders: by what is free and what makes the score, and the same within places. The first serves requests that may go
 * almost anywhere, the second those that name countries or want to be near something.
 */
import { Forest } from './forest.js';
import type { Inventory } from './inventory.js';
import { keyOf, placeKeyOf } from './keys.js';

export class Stocks {
  readonly #inventory: Inventory;
  readonly anywhere: Forest;
  readonly byPlace: Forest;
  /** By stock. */
  readonly #models: number[] = [];
  /** By audience and model: all pools of the model that the audience may use. */
  readonly #byAudience = new Map<number, number[]>();

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
    this.anywhere = new Forest(inventory);
    this.byPlace = new Forest(inventory);
  }

  of(audience: number, model: number): number | undefined {
    return this.#byAudience.get(audience)?.[model];
  }

  model(stock: number): number {
    return this.#models[stock] as number;
  }

  /** To be called after any change of the node. O(log n). */
  changed(slot: number): void {
    this.#settleAll(slot, false);
  }

  /** To be called when nothing has changed but what is free of the node. O(log n). */
  freeChanged(slot: number): void {
    this.#settleAll(slot, true);
  }

  /** Takes the node out of the index. To be called before its pools become others. */
  drop(slot: number): void {
    const { firstPool, pools } = this.#inventory;
    for (let pool = firstPool[slot] as number; pool !== -1; pool = pools.next(pool)) this.#leave(pool);
  }

  #settleAll(slot: number, onlyFree: boolean): void {
    const { firstPool, pools } = this.#inventory;
    for (let pool = firstPool[slot] as number; pool !== -1; pool = pools.next(pool)) this.#settle(slot, pool, onlyFree);
  }

  #settle(slot: number, pool: number, onlyFree: boolean): void {
    const inventory = this.#inventory;
    const { pools, audience } = inventory;
    if (!inventory.available(pool)) {
      this.#leave(pool);
      return;
    }
    const stock = this.#stock(audience[slot] as number, pools.model(pool));
    if (pools.stock[pool] !== stock) this.#leave(pool);
    pools.stock[pool] = stock;
    const key = keyOf(inventory, pool);
    this.anywhere.put(stock, pool, key, onlyFree);
    this.byPlace.put(stock, pool, placeKeyOf(inventory, pool, key), onlyFree);
  }

  #leave(pool: number): void {
    const { stock } = this.#inventory.pools;
    const from = stock[pool] as number;
    if (from === -1) return;
    this.anywhere.drop(from, pool);
    this.byPlace.drop(from, pool);
    stock[pool] = -1;
  }

  #stock(audience: number, model: number): number {
    const byModel = this.#byAudience.get(audience) ?? [];
    this.#byAudience.set(audience, byModel);
    const known = byModel[model];
    if (known !== undefined) return known;
    const stock = this.#models.push(model) - 1;
    byModel[model] = stock;
    return stock;
  }
}
