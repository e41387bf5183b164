/** What is used of the nodes: the only code that changes it. And trials, which are undone. */
import type { Inventory } from './inventory.js';
import { type GroupQuery, workerPrice } from './query.js';
import { classOf, evaluate } from './search.js';
import type { Stocks } from './stocks.js';
import { unitsPerDevice } from './types.js';

export class Occupancy {
  readonly #inventory: Inventory;
  readonly #stocks: Stocks;

  constructor(inventory: Inventory, stocks: Stocks) {
    this.#inventory = inventory;
    this.#stocks = stocks;
  }

  /** Takes (`sign` 1) or gives back (−1) `units` of each of the devices, which are of one pool, and of its node. */
  change(sign: 1 | -1, pool: number, devices: number[], units: number, cpuUnits: number, memory: number): void {
    const pools = this.#inventory.pools;
    for (const device of devices) this.changeDevice(sign, device, units);
    if (devices.length > 0) pools.recount(pool);
    this.changeNode(sign, pools.node[pool] as number, cpuUnits, memory);
  }

  /** Of one device alone; `Pools.recount` and `changeNode` must follow. */
  changeDevice(sign: 1 | -1, device: number, units: number): void {
    const { deviceUnits } = this.#inventory.pools;
    const left = (deviceUnits[device] as number) - sign * units;
    if (left < 0 || left > unitsPerDevice) throw new Error(`Device ${device} would have ${left} units free`);
    deviceUnits[device] = left;
  }

  /** Of the node alone; the index learns of every change of the node here. */
  changeNode(sign: 1 | -1, slot: number, cpuUnits: number, memory: number): void {
    const inventory = this.#inventory;
    inventory.cpuUnitsUsed[slot] = (inventory.cpuUnitsUsed[slot] as number) + sign * cpuUnits;
    inventory.memoryUsed[slot] = (inventory.memoryUsed[slot] as number) + sign * memory;
    for (let pool = inventory.firstPool[slot] as number; pool !== -1; pool = inventory.pools.next[pool] as number) {
      this.#stocks.changed(pool);
    }
  }
}

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

/** Workers put on pools, one after the other, and taken back in the opposite order: a trial leaves nothing behind. */
export class Trial {
  readonly #inventory: Inventory;
  readonly #occupancy: Occupancy;
  readonly puts: Put[] = [];
  price = 0;

  constructor(inventory: Inventory, occupancy: Occupancy) {
    this.#inventory = inventory;
    this.#occupancy = occupancy;
  }

  /** The worker must have room there. `device`: on this one, else where it fits best. */
  put(query: GroupQuery, ordinal: number, cell: number, pool: number, device?: number): void {
    const { pools, gpuPrice, cpuPrice } = this.#inventory;
    const slot = pools.node[pool] as number;
    const preferred = query.share === query.preference ? query : { ...query, share: query.preference };
    const score = evaluate(this.#inventory, preferred, pool);
    const devices =
      device !== undefined ? [device] : query.units > 0 ? pools.choose(pool, query.whole, query.units) : [];
    const price = workerPrice(query, gpuPrice[slot] as number, cpuPrice[slot] as number);
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

  #change(sign: 1 | -1, query: GroupQuery, pool: number, devices: number[]): void {
    const each = query.isShare ? query.units : unitsPerDevice;
    this.#occupancy.change(sign, pool, devices, each, query.cpuUnits, query.memory);
    if (query.caps === null) return;
    const key = classOf(query.caps, this.#inventory.pools.node[pool] as number);
    query.caps.counts.set(key, (query.caps.counts.get(key) ?? 0) + sign);
  }
}
