/**
 * Bounds of zones: of some pools, the best of each kind. What not even the best can do, none of the zone can, so that a
 * search opens only zones that may hold a better pool than it has.
 *
 * The best price and the best reputation of a zone are seldom one node's, so a bound made of the best of each kind is far
 * above every node. A zone therefore keeps the best sum for each set of the four kinds (price, reputation, stake, load).
 * With the weights in falling order w₁ ≥ w₂ ≥ w₃ ≥ w₄,
 *   w·x = (w₁−w₂) x₁ + (w₂−w₃) (x₁+x₂) + (w₃−w₄) (x₁+x₂+x₃) + w₄ (x₁+x₂+x₃+x₄),
 * and each bracket has its best sum: with even weights the bound is met by a node. The bound made of the best of each kind
 * is worked out as well, by the very formula of the score: of pools that are alike it is their score to the last digit, so
 * that a search of thousands of such pools need not open them all to tell them apart. The smaller of the two holds.
 *
 * Costs: `include` and `bound` are constant; a row is `stride` numbers.
 */
import { combine, pricePart } from '../score.js';
import { grown, roomFor } from './columns.js';
import {
  cpuPriceAt,
  freeMemoryAt,
  gpuPriceAt,
  loadAt,
  offeredCpuAt,
  recordSize,
  reputationAt,
  stakeAt,
} from './figures.js';
import { basePricePart, type Inventory } from './inventory.js';
import { noModel } from './pools.js';
import { type GroupQuery, workerPrice } from './query.js';
import { unitsPerDevice } from './types.js';

// Of a row of 256 bytes, what most zones are passed over by comes first: the rest of the row is not even read then.
/** Two words of 32 bits each: traits and Ray versions; first and last place. */
const wordsSize = 2;
const mostCpu = 2;
const mostMemory = 3;
const mostWhole = 4;
const mostPartial = 5;
const leastGpuPrice = 6;
const leastCpuPrice = 7;
/** Free units of a pool; of one without devices, CPU units of nodes whose devices are all in use. */
const leastUnits = 8;
/** Of all units of a pool, the part that is free. */
const leastFree = 9;
/** All units of a pool. */
const leastCapacity = 10;
const mostUnits = 11;
const mostFree = 12;
const mostCapacity = 13;
/** Best sums by set of kinds, from set 1: price 1, reputation 2, stake 4, load 8. */
const firstSum = 13;
const fields = 29;
const stride = 32;
/** Of these the least is kept, of the others the most. */
const leasts = leastGpuPrice;
const afterLeasts = leastCapacity + 1;

const traitsWord = 0;
const raysWord = 1;
const firstPlaceWord = 2;
const lastPlaceWord = 3;

/** So much may the sums' bound be below the score for being added up in another order. */
const roundingSlack = 1e-12;

const emptyRow = new Float64Array(stride).fill(-1).fill(Number.POSITIVE_INFINITY, leasts, afterLeasts);

/** Zones are numbered by whoever keeps them, those that are looked at together beside each other. */
export class Bounds {
  readonly #inventory: Inventory;
  #rows = new Float64Array(0);
  /** The same memory. */
  #words = new Int32Array(0);
  readonly #before = new Float64Array(stride);
  readonly #wordsBefore = new Int32Array(this.#before.buffer);

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  /** Makes room for zones below this one. */
  reserve(end: number): void {
    if (end * stride <= this.#rows.length) return;
    this.#rows = grown(this.#rows, roomFor(end) * stride);
    this.#words = new Int32Array(this.#rows.buffer);
  }

  /** Copies the bounds of `count` zones; the ranges may overlap. */
  copy(from: number, to: number, count: number): void {
    this.#rows.copyWithin(to * stride, from * stride, (from + count) * stride);
  }

  /** Of the zone's places the first in the order of places; see `Geography.order`. */
  firstPlace(zone: number): number {
    return this.#words[2 * zone * stride + firstPlaceWord] as number;
  }

  lastPlace(zone: number): number {
    return this.#words[2 * zone * stride + lastPlaceWord] as number;
  }

  /** Exactly around these pools; false: nothing has changed. */
  aroundPools(zone: number, pools: Int32Array, start: number, end: number): boolean {
    this.#keep(zone);
    for (let at = start; at < end; at++) this.include(zone, pools[at] as number);
    return this.#hasChanged(zone);
  }

  /** Exactly around these zones; false: nothing has changed. */
  aroundZones(zone: number, start: number, end: number): boolean {
    this.#keep(zone);
    for (let other = start; other < end; other++) this.#merge(zone, other);
    return this.#hasChanged(zone);
  }

  /** Remembers the bounds and empties them. */
  #keep(zone: number): void {
    const row = zone * stride;
    for (let field = wordsSize; field < fields; field++) this.#before[field] = this.#rows[row + field] as number;
    for (let word = 0; word < 2 * wordsSize; word++) {
      this.#wordsBefore[word] = this.#words[2 * row + word] as number;
    }
    this.#empty(zone);
  }

  #hasChanged(zone: number): boolean {
    const row = zone * stride;
    for (let word = 0; word < 2 * wordsSize; word++) {
      if (this.#wordsBefore[word] !== this.#words[2 * row + word]) return true;
    }
    for (let field = wordsSize; field < fields; field++) {
      if (this.#before[field] !== this.#rows[row + field]) return true;
    }
    return false;
  }

  /** Widens them by a pool that work may be placed on. False: nothing has changed. */
  include(zone: number, pool: number): boolean {
    const inventory = this.#inventory;
    const slot = inventory.pools.node(pool);
    const { figures } = inventory;
    const { numbers } = figures;
    const record = slot * recordSize;
    const row = zone * stride;
    const gpuPrice = numbers[record + gpuPriceAt] as number;
    const cpuPrice = numbers[record + cpuPriceAt] as number;
    let changed = this.includeFree(zone, pool);
    if (this.#least(row + leastGpuPrice, gpuPrice)) changed = true;
    if (this.#least(row + leastCpuPrice, cpuPrice)) changed = true;
    const price = basePricePart(inventory.pools.model(pool) !== noModel, gpuPrice, cpuPrice);
    const reputation = numbers[record + reputationAt] as number;
    const stake = numbers[record + stakeAt] as number;
    const load = 1 - (numbers[record + loadAt] as number);
    const sums = row + firstSum;
    if (this.#most(sums + 1, price)) changed = true;
    if (this.#most(sums + 2, reputation)) changed = true;
    if (this.#most(sums + 3, price + reputation)) changed = true;
    if (this.#most(sums + 4, stake)) changed = true;
    if (this.#most(sums + 5, price + stake)) changed = true;
    if (this.#most(sums + 6, reputation + stake)) changed = true;
    if (this.#most(sums + 7, price + reputation + stake)) changed = true;
    if (this.#most(sums + 8, load)) changed = true;
    if (this.#most(sums + 9, price + load)) changed = true;
    if (this.#most(sums + 10, reputation + load)) changed = true;
    if (this.#most(sums + 11, price + reputation + load)) changed = true;
    if (this.#most(sums + 12, stake + load)) changed = true;
    if (this.#most(sums + 13, price + stake + load)) changed = true;
    if (this.#most(sums + 14, reputation + stake + load)) changed = true;
    if (this.#most(sums + 15, price + reputation + stake + load)) changed = true;
    const place = inventory.place[slot] as number;
    return this.#widen(zone, figures.traits(slot), figures.rays(slot), place, place) || changed;
  }

  /** The same where nothing but what is free of the pool and its node has changed since it was included. */
  includeFree(zone: number, pool: number): boolean {
    const inventory = this.#inventory;
    const { pools } = inventory;
    const slot = pools.node(pool);
    const hasDevices = pools.model(pool) !== noModel;
    const row = zone * stride;
    const freeCpu = inventory.figures.get(slot, offeredCpuAt);
    let changed = this.#most(row + mostCpu, freeCpu);
    if (this.#most(row + mostMemory, inventory.figures.get(slot, freeMemoryAt))) changed = true;
    if (hasDevices) {
      if (this.#most(row + mostWhole, pools.whole(pool))) changed = true;
      if (this.#most(row + mostPartial, pools.partial(pool))) changed = true;
    } else {
      if (this.#most(row + mostWhole, 0)) changed = true;
      if (inventory.hasFreeDevices(slot)) return changed;
    }
    const units = hasDevices ? pools.units(pool) : freeCpu;
    const capacity = hasDevices
      ? pools.devices(pool) * unitsPerDevice
      : Math.max(1, inventory.cpuUnits[slot] as number);
    if (this.#least(row + leastUnits, units)) changed = true;
    if (this.#most(row + mostUnits, units)) changed = true;
    if (this.#least(row + leastFree, units / capacity)) changed = true;
    if (this.#most(row + mostFree, units / capacity)) changed = true;
    if (this.#least(row + leastCapacity, capacity)) changed = true;
    if (this.#most(row + mostCapacity, capacity)) changed = true;
    return changed;
  }

  /** No pool of the zone scores more for the group; -1 when none can carry a worker of it. `place`: at most so much. */
  bound(zone: number, query: GroupQuery, speed: number, place: number): number {
    const traits = query.traits;
    const rays = query.rays;
    const rows = this.#rows;
    const row = zone * stride;
    if (((this.#words[2 * row + traitsWord] as number) & traits) !== traits) return -1;
    if (((this.#words[2 * row + raysWord] as number) & rays) !== rays) return -1;
    if ((rows[row + mostCpu] as number) < query.cpuUnits || (rows[row + mostMemory] as number) < query.memory) {
      return -1;
    }
    const whole = rows[row + mostWhole] as number;
    const { units, chain, share } = query;
    if (whole < query.whole) return -1;
    if (query.isShare && whole < 1 && (rows[row + mostPartial] as number) < units) return -1;
    const price = workerPrice(query, rows[row + leastGpuPrice] as number, rows[row + leastCpuPrice] as number);
    if (price > query.ceiling) return -1;
    const fit = this.fit(zone, query);
    const alike = combine(
      share,
      pricePart(price, query.priceReference),
      speed,
      place,
      rows[row + firstSum + 2] as number,
      rows[row + firstSum + 4] as number,
      rows[row + firstSum + 8] as number,
      fit,
    );
    const sums = row + firstSum;
    const mixed =
      chain.weight1 * (rows[sums + chain.set1] as number) +
      chain.weight2 * (rows[sums + chain.set2] as number) +
      chain.weight3 * (rows[sums + chain.set3] as number) +
      chain.weight4 * (rows[sums + 15] as number) +
      share.fit * fit +
      share.speed * speed +
      share.place * place +
      share.price * query.priceSlack +
      roundingSlack;
    return alike < mixed ? alike : mixed;
  }

  /** No pool of the zone fits better: the part of the score. */
  fit(zone: number, query: GroupQuery): number {
    const rows = this.#rows;
    const row = zone * stride;
    const most = rows[row + mostUnits] as number;
    if (most < 0) return 0;
    const need = query.units > 0 ? query.units : query.cpuUnits;
    if (query.packs) {
      const least = rows[row + leastUnits] as number;
      const over = least > need ? (least - need) / (rows[row + mostCapacity] as number) : 0;
      const left = (rows[row + leastFree] as number) - need / (rows[row + leastCapacity] as number) - roundingSlack;
      return 1 - (left > over ? left : over);
    }
    const over = (most - need) / (rows[row + leastCapacity] as number);
    const left = (rows[row + mostFree] as number) - need / (rows[row + mostCapacity] as number) + roundingSlack;
    return Math.max(0, left < over ? left : over);
  }

  #least(at: number, value: number): boolean {
    if (value >= (this.#rows[at] as number)) return false;
    this.#rows[at] = value;
    return true;
  }

  #most(at: number, value: number): boolean {
    if (value <= (this.#rows[at] as number)) return false;
    this.#rows[at] = value;
    return true;
  }

  #empty(zone: number): void {
    const rows = this.#rows;
    const row = zone * stride;
    for (let field = wordsSize; field < fields; field++) rows[row + field] = emptyRow[field] as number;
    this.#words[2 * row + traitsWord] = 0;
    this.#words[2 * row + raysWord] = 0;
    this.#words[2 * row + firstPlaceWord] = -1;
    this.#words[2 * row + lastPlaceWord] = -1;
  }

  #merge(zone: number, other: number): void {
    const rows = this.#rows;
    const to = zone * stride;
    const from = other * stride;
    for (let field = wordsSize; field < fields; field++) {
      const theirs = rows[from + field] as number;
      const ours = rows[to + field] as number;
      const isLeast = field >= leasts && field < afterLeasts;
      if (isLeast ? theirs < ours : theirs > ours) rows[to + field] = theirs;
    }
    const words = this.#words;
    this.#widen(
      zone,
      words[2 * from + traitsWord] as number,
      words[2 * from + raysWord] as number,
      words[2 * from + firstPlaceWord] as number,
      words[2 * from + lastPlaceWord] as number,
    );
  }

  #widen(zone: number, traits: number, rays: number, first: number, last: number): boolean {
    const { order } = this.#inventory.geography;
    const words = this.#words;
    const at = 2 * zone * stride;
    const ourTraits = words[at + traitsWord] as number;
    const ourRays = words[at + raysWord] as number;
    const ourFirst = words[at + firstPlaceWord] as number;
    const ourLast = words[at + lastPlaceWord] as number;
    words[at + traitsWord] = ourTraits | traits;
    words[at + raysWord] = ourRays | rays;
    let changed = (ourTraits | traits) !== ourTraits || (ourRays | rays) !== ourRays;
    if (ourFirst === -1 || (order[first] as number) < (order[ourFirst] as number)) {
      words[at + firstPlaceWord] = first;
      changed = true;
    }
    if (ourLast === -1 || (order[last] as number) > (order[ourLast] as number)) {
      words[at + lastPlaceWord] = last;
      changed = true;
    }
    return changed;
  }
}
