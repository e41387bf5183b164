/**
 * Zone maps: of some pools, the best of each kind. What not even the best can do, none of the zone can, so that a search
 * opens only zones that may hold a better pool than it has. A zone's bounds are widened at once when one of its pools
 * changes, and tightened only when a search opens it: they are never too narrow, and looking after them costs little.
 */
import { combine, pricePart } from '../score.js';
import { grown, roomFor, Slots } from './columns.js';
import type { Inventory } from './inventory.js';
import { type GroupQuery, workerPrice } from './query.js';
import { unitsPerDevice } from './types.js';

/** Most pools of a zone. */
export const zoneCapacity = 64;

const stride = 13;
const leastGpuPrice = 0;
const leastCpuPrice = 1;
const mostReputation = 2;
const mostStake = 3;
const leastLoad = 4;
const leastUnits = 5;
const mostUnits = 6;
const mostWhole = 7;
const mostPartial = 8;
const leastDevices = 9;
const mostDevices = 10;
const mostCpu = 11;
const mostMemory = 12;
const isLeast = [leastGpuPrice, leastCpuPrice, leastLoad, leastUnits, leastDevices];

const emptyRow = new Float64Array(stride).map((_, field) => (isLeast.includes(field) ? Number.POSITIVE_INFINITY : -1));

export class Zones {
  readonly #inventory: Inventory;
  readonly #slots = new Slots();
  #bounds = new Float64Array(0);
  #traits = new Int32Array(0);
  #rays = new Int32Array(0);
  /** By zone: the node with the smallest id among those available, or one with a smaller id; -1 when there is none. */
  first = new Int32Array(0);
  dirty = new Uint8Array(0);
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
      this.dirty[zone] = 1;
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
    this.dirty[zone] = 1;
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

  /** Bounds around those of other zones, if they may be wider. */
  tightenAround(zone: number, others: number[]): void {
    if (this.dirty[zone] === 0) return;
    this.empty(zone);
    const bounds = this.#bounds;
    const to = zone * stride;
    for (const other of others) {
      const from = other * stride;
      for (let field = 0; field < stride; field++) {
        const theirs = bounds[from + field] as number;
        const ours = bounds[to + field] as number;
        const least = emptyRow[field] !== -1;
        if (least ? theirs < ours : theirs > ours) bounds[to + field] = theirs;
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
    const whole = bounds[row + mostWhole] as number;
    if (whole < query.whole) return -1;
    if (query.isShare && whole < 1 && (bounds[row + mostPartial] as number) < query.units) return -1;
    const price = workerPrice(query, bounds[row + leastGpuPrice] as number, bounds[row + leastCpuPrice] as number);
    if (price > query.ceiling) return -1;
    let fit = 1;
    if (query.units > 0) {
      const units = query.units;
      if (query.packs) {
        const over = Math.max(bounds[row + leastUnits] as number, units) - units;
        fit = 1 - over / ((bounds[row + mostDevices] as number) * unitsPerDevice);
      } else {
        const over = (bounds[row + mostUnits] as number) - units;
        fit = over / ((bounds[row + leastDevices] as number) * unitsPerDevice);
      }
    }
    return combine(
      query.share,
      pricePart(price, query.priceReference),
      speed,
      place,
      bounds[row + mostReputation] as number,
      bounds[row + mostStake] as number,
      1 - (bounds[row + leastLoad] as number),
      fit,
    );
  }

  #include(zone: number, pool: number): void {
    const inventory = this.#inventory;
    const pools = inventory.pools;
    const slot = pools.node[pool] as number;
    const row = zone * stride;
    this.#atMost(row + leastGpuPrice, inventory.gpuPrice[slot] as number);
    this.#atMost(row + leastCpuPrice, inventory.cpuPrice[slot] as number);
    this.#atLeast(row + mostReputation, inventory.reputation[slot] as number);
    this.#atLeast(row + mostStake, inventory.stake[slot] as number);
    this.#atMost(row + leastLoad, inventory.load[slot] as number);
    this.#atMost(row + leastUnits, pools.units[pool] as number);
    this.#atLeast(row + mostUnits, pools.units[pool] as number);
    this.#atLeast(row + mostWhole, pools.whole[pool] as number);
    this.#atLeast(row + mostPartial, pools.partial[pool] as number);
    this.#atMost(row + leastDevices, pools.devices[pool] as number);
    this.#atLeast(row + mostDevices, pools.devices[pool] as number);
    this.#atLeast(row + mostCpu, inventory.freeCpuUnits(slot));
    this.#atLeast(row + mostMemory, inventory.freeMemory(slot));
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
