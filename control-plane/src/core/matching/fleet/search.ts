/**
 * Best-first search (branch and bound) over the index: pools come in falling order of score, and only zones are opened
 * whose bound is no less than the best pool seen. What comes is what sorting a scan of all pools would give.
 */
import { combine, placePart, pricePart } from '../score.js';
import { blockEntry, Frontier, poolEntry, stockEntry } from './frontier.js';
import { type Inventory, open } from './inventory.js';
import { type GroupQuery, workerPrice } from './query.js';
import type { Stock, Stocks } from './stocks.js';
import { unitsPerDevice } from './types.js';
import { type Zones, zoneCapacity } from './zones.js';

/** Score of one more worker of the group on the pool as it is now, or -1 when it cannot be there. */
export function evaluate(inventory: Inventory, query: GroupQuery, pool: number): number {
  const pools = inventory.pools;
  const slot = pools.node[pool] as number;
  if (inventory.state[slot] !== open) return -1;
  const units = query.units;
  if ((pools.whole[pool] as number) < query.whole) return -1;
  if (query.isShare && pools.whole[pool] === 0 && (pools.partial[pool] as number) < units) return -1;
  const cpuFree = inventory.freeCpuUnits(slot);
  if (cpuFree < query.cpuUnits || inventory.freeMemory(slot) < query.memory) return -1;
  if (((inventory.traits[slot] as number) & query.traits) !== query.traits) return -1;
  if (((inventory.rays[slot] as number) & query.rays) !== query.rays) return -1;
  if (query.names.length > 0 && !inventory.has(slot, query.names)) return -1;
  if (query.allowed !== null && query.allowed[inventory.place[slot] as number] !== 1) return -1;
  if (query.caps !== null && capped(query.caps, slot)) return -1;
  const price = workerPrice(query, inventory.gpuPrice[slot] as number, inventory.cpuPrice[slot] as number);
  if (price > query.ceiling) return -1;
  let place = 1;
  if (query.latencies !== null) {
    const latencyMs = query.latencies.of(inventory.site[slot] as number);
    if (latencyMs > query.maxLatencyMs) return -1;
    place = latencyMs === Number.POSITIVE_INFINITY ? 0 : placePart(latencyMs);
  }
  return combine(
    query.share,
    pricePart(price, query.priceReference),
    (inventory.models.list[pools.model[pool] as number] as { speed: number }).speed,
    place,
    inventory.reputation[slot] as number,
    inventory.stake[slot] as number,
    1 - (inventory.load[slot] as number),
    units > 0 ? deviceFit(inventory, query, pool) : cpuFit(inventory, query, slot),
  );
}

export function deviceFit(inventory: Inventory, query: GroupQuery, pool: number): number {
  const over = (inventory.pools.units[pool] as number) - query.units;
  const left = over / ((inventory.pools.devices[pool] as number) * unitsPerDevice);
  return query.packs ? 1 - left : left;
}

export function cpuFit(inventory: Inventory, query: GroupQuery, slot: number): number {
  const pools = inventory.pools;
  for (let pool = inventory.firstPool[slot] as number; pool !== -1; pool = pools.next[pool] as number) {
    if ((pools.units[pool] as number) > 0) return 0;
  }
  const all = inventory.cpuUnits[slot] as number;
  const left = all === 0 ? 0 : (inventory.freeCpuUnits(slot) - query.cpuUnits) / all;
  return query.packs ? 1 - left : left;
}

export const classOf = (caps: NonNullable<GroupQuery['caps']>, slot: number): number =>
  caps.classOf === null ? slot : (caps.classOf[slot] as number);

const capped = (caps: NonNullable<GroupQuery['caps']>, slot: number): boolean =>
  (caps.counts.get(classOf(caps, slot)) ?? 0) >= caps.most;

export class Search {
  readonly #inventory: Inventory;
  readonly #stocks: Stocks;
  readonly #zones: Zones;
  readonly #frontier: Frontier;
  readonly #queries: GroupQuery[];
  /** Only the first pool that comes is wanted: of each block, only the best is kept. */
  readonly #first: boolean;

  /** Score of the best pool seen. */
  #best = -1;

  /** What `next` found. */
  pool = -1;
  group = 0;
  score = 0;

  constructor(inventory: Inventory, stocks: Stocks, zones: Zones, queries: GroupQuery[], options: { first: boolean }) {
    this.#inventory = inventory;
    this.#stocks = stocks;
    this.#zones = zones;
    this.#frontier = new Frontier(inventory);
    this.#queries = queries;
    this.#first = options.first;
    for (const [group, query] of queries.entries()) {
      for (const audience of query.audiences) {
        for (const model of query.models) {
          const stock = stocks.of(audience, model);
          if (stock === undefined || stock.blocks.length === 0) continue;
          const bound = zones.bound(stock.zone, query, this.#speed(stock), query.bestPlace);
          if (bound >= 0) this.#frontier.push(bound, stockEntry, stock.id, group, -1);
        }
      }
    }
  }

  /** The next best pool; false when no other can carry a worker. */
  next(): boolean {
    const frontier = this.#frontier;
    while (frontier.pop()) {
      const query = this.#queries[frontier.group] as GroupQuery;
      if (frontier.kind === stockEntry)
        this.#openStock(this.#stocks.list[frontier.ref] as Stock, query, frontier.group);
      else if (frontier.kind === blockEntry) this.#openBlock(frontier.ref, query, frontier.group);
      else {
        const score = evaluate(this.#inventory, query, frontier.ref);
        if (score === frontier.score) {
          this.pool = frontier.ref;
          this.group = frontier.group;
          this.score = score;
          return true;
        }
        // Something was placed on its node since it was seen.
        if (score >= 0) this.#push(score, frontier.ref, frontier.group);
      }
    }
    return false;
  }

  /** Puts the pool that came last back, as it is now. */
  again(): void {
    const score = evaluate(this.#inventory, this.#queries[this.group] as GroupQuery, this.pool);
    if (score >= 0) this.#push(score, this.pool, this.group);
  }

  #push(score: number, pool: number, group: number): void {
    if (score > this.#best) this.#best = score;
    this.#frontier.push(score, poolEntry, pool, group, this.#inventory.pools.node[pool] as number);
  }

  #speed(stock: Stock): number {
    return (this.#inventory.models.list[stock.model] as { speed: number }).speed;
  }

  #openStock(stock: Stock, query: GroupQuery, group: number): void {
    const speed = this.#speed(stock);
    if (query.places === null || stock.places === null) {
      this.#zones.tightenAround(stock.zone, stock.blocks);
      for (const block of stock.blocks) this.#see(block, query, group, speed, query.bestPlace);
      return;
    }
    for (const place of query.places) {
      const blocks = stock.places.get(place);
      if (blocks === undefined) continue;
      const part = query.latencies === null ? 1 : (query.placeBounds[place] as number);
      for (const block of blocks) this.#see(block, query, group, speed, part);
    }
  }

  #see(block: number, query: GroupQuery, group: number, speed: number, place: number): void {
    const bound = this.#zones.bound(block, query, speed, place);
    if (bound < 0 || (this.#first && bound < this.#best)) return;
    this.#frontier.push(bound, blockEntry, block, group, this.#zones.first[block] as number);
  }

  #openBlock(block: number, query: GroupQuery, group: number): void {
    const zones = this.#zones;
    zones.tighten(block);
    const start = block * zoneCapacity;
    const end = start + (zones.size[block] as number);
    let best = -1;
    let bestScore = -1;
    for (let at = start; at < end; at++) {
      const pool = zones.members[at] as number;
      const score = evaluate(this.#inventory, query, pool);
      if (score < 0) continue;
      if (!this.#first) this.#push(score, pool, group);
      else if (score > bestScore || (score === bestScore && this.#comesBefore(pool, best))) {
        best = pool;
        bestScore = score;
      }
    }
    if (best !== -1) this.#push(bestScore, best, group);
  }

  #comesBefore(pool: number, other: number): boolean {
    const { pools, ids } = this.#inventory;
    return (ids[pools.node[pool] as number] as string) < (ids[pools.node[other] as number] as string);
  }
}
