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
  freeCpuAt,
  freeMemoryAt,
  gpuPriceAt,
  loadAt,
  recordSize,
  reputationAt,
  stakeAt,
} from './figures.js';
import { basePricePart, type Inventory } from './inventory.js';
import { noModel } from './pools.js';
import { type GroupQuery, workerPrice } from './query.js';
import { unitsPerDevice } from './types.js';

// Fields of which the least is kept come first, so that rows are merged without asking which they are.
const leastGpuPrice = 0;
const leastCpuPrice = 1;
/** Free units of a pool; of one without devices, CPU units of nodes whose devices are all in use. */
const leastUnits = 2;
/** Of all units of a pool, the part that is free. */
const leastFree = 3;
/** All units of a pool. */
const leastCapacity = 4;
const mosts = 5;
const mostUnits = 5;
const mostFree = 6;
const mostCapacity = 7;
const mostWhole = 8;
const mostPartial = 9;
const mostCpu = 10;
const mostMemory = 11;
/** Best sums by set of kinds, from set 1: price 1, reputation 2, stake 4, load 8. */
const firstSum = 11;
const stride = 27;

/** So much may the sums' bound be below the score for being added up in another order. */
const roundingSlack = 1e-12;

const emptyRow = new Float64Array(stride).fill(Number.POSITIVE_INFINITY, 0, mosts).fill(-1, mosts);

export class Bounds {
  readonly #inventory: Inventory;
  #rows = new Float64Array(0);
  #traits = new Int32Array(0);
  #rays = new Int32Array(0);
  /** Places of the first and of the last in the order of places; see `Geography.order`. */
  firstPlace = new Int32Array(0);
  lastPlace = new Int32Array(0);
  readonly #scratch = new Float64Array(stride);

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  /** Bounds of a zone with nothing in it. */
  create(zone: number): void {
    if (zone >= this.#traits.length) {
      const length = roomFor(zone + 1);
      this.#rows = grown(this.#rows, length * stride);
      this.#traits = grown(this.#traits, length);
      this.#rays = grown(this.#rays, length);
      this.firstPlace = grown(this.firstPlace, length);
      this.lastPlace = grown(this.lastPlace, length);
    }
    this.#empty(zone);
  }

  copy(from: number, to: number): void {
    this.#rows.copyWithin(to * stride, from * stride, (from + 1) * stride);
    this.#traits[to] = this.#traits[from] as number;
    this.#rays[to] = this.#rays[from] as number;
    this.firstPlace[to] = this.firstPlace[from] as number;
    this.lastPlace[to] = this.lastPlace[from] as number;
  }

  /** Exactly around these members: pools, or zones below. False: nothing has changed. */
  around(zone: number, members: Int32Array, start: number, end: number, arePools: boolean): boolean {
    const before = this.#scratch;
    const at = zone * stride;
    const rows = this.#rows;
    for (let field = 0; field < stride; field++) before[field] = rows[at + field] as number;
    const traits = this.#traits[zone];
    const rays = this.#rays[zone];
    const first = this.firstPlace[zone];
    const last = this.lastPlace[zone];
    this.#empty(zone);
    for (let member = start; member < end; member++) {
      if (arePools) this.include(zone, members[member] as number);
      else this.#merge(zone, members[member] as number);
    }
    for (let field = 0; field < stride; field++) if (before[field] !== rows[at + field]) return true;
    return (
      traits !== this.#traits[zone] ||
      rays !== this.#rays[zone] ||
      first !== this.firstPlace[zone] ||
      last !== this.lastPlace[zone]
    );
  }

  /** Widens them by a pool that work may be placed on. False: nothing has changed. */
  include(zone: number, pool: number): boolean {
    const inventory = this.#inventory;
    const pools = inventory.pools;
    const slot = pools.node[pool] as number;
    const { numbers } = inventory.figures;
    const record = slot * recordSize;
    const hasDevices = pools.model[pool] !== noModel;
    const row = zone * stride;
    const gpuPrice = numbers[record + gpuPriceAt] as number;
    const cpuPrice = numbers[record + cpuPriceAt] as number;
    const freeCpu = numbers[record + freeCpuAt] as number;
    let changed = this.#least(row + leastGpuPrice, gpuPrice);
    if (this.#least(row + leastCpuPrice, cpuPrice)) changed = true;
    if (hasDevices || !inventory.hasFreeDevices(slot)) {
      const units = hasDevices ? (pools.units[pool] as number) : freeCpu;
      const all = hasDevices ? (pools.devices[pool] as number) * unitsPerDevice : (inventory.cpuUnits[slot] as number);
      const capacity = Math.max(1, all);
      if (this.#least(row + leastUnits, units)) changed = true;
      if (this.#most(row + mostUnits, units)) changed = true;
      if (this.#least(row + leastFree, units / capacity)) changed = true;
      if (this.#most(row + mostFree, units / capacity)) changed = true;
      if (this.#least(row + leastCapacity, capacity)) changed = true;
      if (this.#most(row + mostCapacity, capacity)) changed = true;
    }
    if (this.#most(row + mostWhole, pools.whole[pool] as number)) changed = true;
    if (this.#most(row + mostPartial, pools.partial[pool] as number)) changed = true;
    if (this.#most(row + mostCpu, freeCpu)) changed = true;
    if (this.#most(row + mostMemory, numbers[record + freeMemoryAt] as number)) changed = true;
    const price = basePricePart(hasDevices, gpuPrice, cpuPrice);
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
    const { figures } = inventory;
    return this.#widen(zone, figures.traits(slot), figures.rays(slot), place, place) || changed;
  }

  /** No pool of the zone scores more for the group; -1 when none can carry a worker of it. `place`: at most so much. */
  bound(zone: number, query: GroupQuery, speed: number, place: number): number {
    const traits = query.traits;
    const rays = query.rays;
    if (((this.#traits[zone] as number) & traits) !== traits || ((this.#rays[zone] as number) & rays) !== rays)
      return -1;
    const rows = this.#rows;
    const row = zone * stride;
    if ((rows[row + mostCpu] as number) < query.cpuUnits || (rows[row + mostMemory] as number) < query.memory) {
      return -1;
    }
    const whole = rows[row + mostWhole] as number;
    const { units, chain, share } = query;
    if (whole < query.whole) return -1;
    if (query.isShare && whole < 1 && (rows[row + mostPartial] as number) < units) return -1;
    const price = workerPrice(query, rows[row + leastGpuPrice] as number, rows[row + leastCpuPrice] as number);
    if (price > query.ceiling) return -1;
    const fit = this.#fit(row, query);
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

  #fit(row: number, query: GroupQuery): number {
    const rows = this.#rows;
    const most = rows[row + mostUnits] as number;
    if (most < 0) return 0;
    const need = query.units > 0 ? query.units : query.cpuUnits;
    if (query.packs) {
      const least = rows[row + leastUnits] as number;
      const over = least > need ? (least - need) / (rows[row + mostCapacity] as number) : 0;
      const left =
        (rows[row + leastFree] as number) - need / (rows[row + leastCapacity] as number) - roundingSlack;
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
    for (let field = 0; field < stride; field++) rows[row + field] = emptyRow[field] as number;
    this.#traits[zone] = 0;
    this.#rays[zone] = 0;
    this.firstPlace[zone] = -1;
    this.lastPlace[zone] = -1;
  }

  #merge(zone: number, other: number): void {
    const rows = this.#rows;
    const to = zone * stride;
    const from = other * stride;
    for (let field = 0; field < mosts; field++) {
      const theirs = rows[from + field] as number;
      if (theirs < (rows[to + field] as number)) rows[to + field] = theirs;
    }
    for (let field = mosts; field < stride; field++) {
      const theirs = rows[from + field] as number;
      if (theirs > (rows[to + field] as number)) rows[to + field] = theirs;
    }
    this.#widen(
      zone,
      this.#traits[other] as number,
      this.#rays[other] as number,
      this.firstPlace[other] as number,
      this.lastPlace[other] as number,
    );
  }

  #widen(zone: number, traits: number, rays: number, first: number, last: number): boolean {
    const { order } = this.#inventory.geography;
    const ourTraits = this.#traits[zone] as number;
    const ourRays = this.#rays[zone] as number;
    const ourFirst = this.firstPlace[zone] as number;
    const ourLast = this.lastPlace[zone] as number;
    this.#traits[zone] = ourTraits | traits;
    this.#rays[zone] = ourRays | rays;
    let changed = (ourTraits | traits) !== ourTraits || (ourRays | rays) !== ourRays;
    if (ourFirst === -1 || (order[first] as number) < (order[ourFirst] as number)) {
      this.firstPlace[zone] = first;
      changed = true;
    }
    if (ourLast === -1 || (order[last] as number) > (order[ourLast] as number)) {
      this.lastPlace[zone] = last;
      changed = true;
    }
    return changed;
  }
}
