/**
 * Zone maps: of some pools, the best of each kind. What not even the best can do, none of the zone can, so that a search
 * opens only zones that may hold a better pool than it has. A zone's bounds are widened at once when one of its pools
 * changes, and tightened only when a search opens it: they are never too narrow, and looking after them costs little.
 *
 * The best price and the best reputation of a zone are seldom one node's, so bounds made of the best of each kind would be
 * far above every node. A zone therefore keeps the best sum for each set of the four kinds (price, reputation, stake,
 * load). With the weights in falling order w₁ ≥ w₂ ≥ w₃ ≥ w₄,
 *   w·x = (w₁−w₂) x₁ + (w₂−w₃) (x₁+x₂) + (w₃−w₄) (x₁+x₂+x₃) + w₄ (x₁+x₂+x₃+x₄),
 * and each bracket has its best sum: with even weights the bound is met by a node. All that is kept apart for pools with
 * none, 1, 2 to 3, 4 to 7, 8 and more free devices, for these decide what fits and how well.
 */
import { grown, roomFor, Slots } from './columns.js';
import type { Inventory } from './inventory.js';
import { noModel } from './pools.js';
import { type GroupQuery, workerPrice } from './query.js';
import { unitsPerDevice } from './types.js';

/** Most pools of a zone. */
export const zoneCapacity = 64;

const leastGpuPrice = 0;
const leastCpuPrice = 1;
const mostPartial = 2;
const mostCpu = 3;
const mostMemory = 4;
/** From here: for each class of free devices a row of what is free and its best sums by set of kinds. */
const firstClass = 5;
const classes = 5;
const leastUnits = 0;
/** Of all units of a pool, the part that is free. */
const leastFree = 1;
const mostFree = 2;
const leastDevices = 3;
const mostDevices = 4;
const firstSum = 4;
const classStride = 20;
const stride = firstClass + classes * classStride;

const emptyRow = new Float64Array(stride).fill(-1);
for (const field of [leastGpuPrice, leastCpuPrice]) emptyRow[field] = Number.POSITIVE_INFINITY;
for (let at = firstClass; at < stride; at += classStride) {
  for (const field of [leastUnits, leastFree, leastDevices]) emptyRow[at + field] = Number.POSITIVE_INFINITY;
}
const isLeast = Uint8Array.from(emptyRow, value => (value === Number.POSITIVE_INFINITY ? 1 : 0));

/** So much may the bound's sum be below the score's for being added up in another order. */
const roundingSlack = 1e-12;

/** By number of free devices. */
const classOf = (whole: number): number => (whole < 2 ? whole : whole < 4 ? 2 : whole < 8 ? 3 : 4);

export class Zones {
  readonly #inventory: Inventory;
  readonly #slots = new Slots();
  #bounds = new Float64Array(0);
  #traits = new Int32Array(0);
  #rays = new Int32Array(0);
  /** By zone: the node with the smallest id among those available, or one with a smaller id; -1 when there is none. */
  first = new Int32Array(0);
  /** How many changes since the bounds were exact. */
  dirty = new Int32Array(0);
  size = new Uint8Array(0);
  members = new Int32Array(0);

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  create(): number {
    const zone = this.#slots.take();
    if (zone >= this.first.length) {
      const length = roomFor(zone + 1);
      this.#bounds = grown(this.#bounds, length * stride);
      this.#traits = grown(this.#traits, length);
      this.#rays = grown(this.#rays, length);
      this.first = grown(this.first, length);
      this.dirty = grown(this.dirty, length);
      this.size = grown(this.size, length);
      this.members = grown(this.members, length * zoneCapacity);
    }
    this.size[zone] = 0;
    this.empty(zone);
    return zone;
  }

  free(zone: number): void {
    this.#slots.giveBack(zone);
  }

  add(zone: number, pool: number): void {
    if (this.size[zone] === zoneCapacity) throw new Error(`Zone ${zone} is full`);
    this.members[zone * zoneCapacity + (this.size[zone] as number)] = pool;
    this.size[zone] = (this.size[zone] as number) + 1;
    this.widen(zone, pool);
  }

  drop(zone: number, pool: number): void {
    const start = zone * zoneCapacity;
    const last = start + (this.size[zone] as number) - 1;
    for (let at = start; at <= last; at++) {
      if (this.members[at] !== pool) continue;
      this.members[at] = this.members[last] as number;
      this.size[zone] = (this.size[zone] as number) - 1;
      this.dirty[zone] = (this.dirty[zone] as number) + 1;
      return;
    }
    throw new Error(`Pool ${pool} is not in zone ${zone}`);
  }

  /** Bounds of a zone with nothing in it. */
  empty(zone: number): void {
    this.#bounds.set(emptyRow, zone * stride);
    this.#traits[zone] = 0;
    this.#rays[zone] = 0;
    this.first[zone] = -1;
    this.dirty[zone] = 0;
  }

  /** To be called after any change of one of the zone's pools, or of its node. */
  widen(zone: number, pool: number): void {
    this.dirty[zone] = (this.dirty[zone] as number) + 1;
    if (this.#inventory.available(pool)) this.#include(zone, pool);
  }

  /** Bounds exactly around the members, if they may be wider. */
  tighten(zone: number): void {
    if (this.dirty[zone] === 0) return;
    this.empty(zone);
    const start = zone * zoneCapacity;
    const end = start + (this.size[zone] as number);
    for (let at = start; at < end; at++) {
      const pool = this.members[at] as number;
      if (this.#inventory.available(pool)) this.#include(zone, pool);
    }
  }

  /** Bounds around those of other zones, once there have been as many changes as there are zones: each costs as much. */
  tightenAround(zone: number, others: number[]): void {
    if ((this.dirty[zone] as number) <= others.length) return;
    this.empty(zone);
    const bounds = this.#bounds;
    const to = zone * stride;
    for (const other of others) {
      const from = other * stride;
      for (let field = 0; field < stride; field++) {
        const theirs = bounds[from + field] as number;
        const ours = bounds[to + field] as number;
        if (isLeast[field] === 1 ? theirs < ours : theirs > ours) bounds[to + field] = theirs;
      }
      this.#traits[zone] = (this.#traits[zone] as number) | (this.#traits[other] as number);
      this.#rays[zone] = (this.#rays[zone] as number) | (this.#rays[other] as number);
    }
  }

  /** No pool of the zone scores more for the group; -1 when none can carry a worker of it. `place`: at most so much. */
  bound(zone: number, query: GroupQuery, speed: number, place: number): number {
    const traits = query.traits;
    const rays = query.rays;
    if (((this.#traits[zone] as number) & traits) !== traits || ((this.#rays[zone] as number) & rays) !== rays)
      return -1;
    const bounds = this.#bounds;
    const row = zone * stride;
    if ((bounds[row + mostCpu] as number) < query.cpuUnits || (bounds[row + mostMemory] as number) < query.memory) {
      return -1;
    }
    const price = workerPrice(query, bounds[row + leastGpuPrice] as number, bounds[row + leastCpuPrice] as number);
    if (price > query.ceiling) return -1;
    const { units, chain, share } = query;
    let first = classOf(query.whole);
    if (query.isShare && (bounds[row + mostPartial] as number) < units) first = 1;
    const end = units > 0 ? classes : 1;
    let best = -1;
    for (let at = first; at < end; at++) {
      const base = row + firstClass + at * classStride;
      const least = bounds[base + leastUnits] as number;
      if (least === Number.POSITIVE_INFINITY) continue;
      let fit = 1;
      if (units > 0) {
        if (query.packs) {
          const over = (Math.max(least, units) - units) / ((bounds[base + mostDevices] as number) * unitsPerDevice);
          const left =
            (bounds[base + leastFree] as number) - units / ((bounds[base + leastDevices] as number) * unitsPerDevice);
          fit = 1 - Math.max(over, left);
        } else {
          fit = (bounds[base + mostFree] as number) - units / ((bounds[base + mostDevices] as number) * unitsPerDevice);
        }
        if (fit < 0) continue;
      }
      const sums = base + firstSum;
      const score =
        chain.weight1 * (bounds[sums + chain.set1] as number) +
        chain.weight2 * (bounds[sums + chain.set2] as number) +
        chain.weight3 * (bounds[sums + chain.set3] as number) +
        chain.weight4 * (bounds[sums + 15] as number) +
        share.fit * fit;
      if (score > best) best = score;
    }
    if (best < 0) return -1;
    // A worker that needs neither devices nor CPUs costs nothing anywhere.
    if (units === 0 && query.cpuUnits === 0) best += share.price;
    return best + share.speed * speed + share.place * place + roundingSlack;
  }

  #include(zone: number, pool: number): void {
    const inventory = this.#inventory;
    const pools = inventory.pools;
    const slot = pools.node[pool] as number;
    const row = zone * stride;
    const hasDevices = pools.model[pool] !== noModel;
    this.#atMost(row + leastGpuPrice, inventory.gpuPrice[slot] as number);
    this.#atMost(row + leastCpuPrice, inventory.cpuPrice[slot] as number);
    this.#atLeast(row + mostPartial, pools.partial[pool] as number);
    this.#atLeast(row + mostCpu, inventory.freeCpuUnits(slot));
    this.#atLeast(row + mostMemory, inventory.freeMemory(slot));
    const base = row + firstClass + classOf(pools.whole[pool] as number) * classStride;
    this.#atMost(base + leastUnits, pools.units[pool] as number);
    const devices = pools.devices[pool] as number;
    const free = devices === 0 ? 0 : (pools.units[pool] as number) / (devices * unitsPerDevice);
    this.#atMost(base + leastFree, free);
    this.#atLeast(base + mostFree, free);
    this.#atMost(base + leastDevices, devices);
    this.#atLeast(base + mostDevices, devices);
    const sums = base + firstSum;
    const price = inventory.basePricePart(slot, hasDevices);
    const reputation = inventory.reputation[slot] as number;
    const stake = inventory.stake[slot] as number;
    const load = 1 - (inventory.load[slot] as number);
    this.#atLeast(sums + 1, price);
    this.#atLeast(sums + 2, reputation);
    this.#atLeast(sums + 3, price + reputation);
    this.#atLeast(sums + 4, stake);
    this.#atLeast(sums + 5, price + stake);
    this.#atLeast(sums + 6, reputation + stake);
    this.#atLeast(sums + 7, price + reputation + stake);
    this.#atLeast(sums + 8, load);
    this.#atLeast(sums + 9, price + load);
    this.#atLeast(sums + 10, reputation + load);
    this.#atLeast(sums + 11, price + reputation + load);
    this.#atLeast(sums + 12, stake + load);
    this.#atLeast(sums + 13, price + stake + load);
    this.#atLeast(sums + 14, reputation + stake + load);
    this.#atLeast(sums + 15, price + reputation + stake + load);
    this.#traits[zone] = (this.#traits[zone] as number) | (inventory.traits[slot] as number);
    this.#rays[zone] = (this.#rays[zone] as number) | (inventory.rays[slot] as number);
    const first = this.first[zone] as number;
    if (first !== slot && (first === -1 || (inventory.ids[slot] as string) < (inventory.ids[first] as string))) {
      this.first[zone] = slot;
    }
  }

  #atMost(at: number, value: number): void {
    if (value < (this.#bounds[at] as number)) this.#bounds[at] = value;
  }

  #atLeast(at: number, value: number): void {
    if (value > (this.#bounds[at] as number)) this.#bounds[at] = value;
  }
}
