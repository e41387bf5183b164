/**
 * Best-first search (branch and bound) over the index: pools come in falling order of score, and only zones are opened
 * whose bound is no less than the best pool seen. What comes is what sorting a scan of all pools would give.
 */
import { combine, placePart, pricePart } from '../score.js';
import { cardBound, cardSize } from './cards.js';
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
import type { Forest } from './forest.js';
import { Frontier, poolEntry, zoneEntry } from './frontier.js';
import type { Inventory } from './inventory.js';
import { type GroupQuery, workerPrice } from './query.js';
import type { Stocks } from './stocks.js';
import { unitsPerDevice } from './types.js';
import { fanOut } from './zones.js';

/** What is searched. */
export interface Ground {
  inventory: Inventory;
  stocks: Stocks;
  /** Of searches that have ended, for others to use. */
  frontiers: Frontier[];
}

/** Score of one more worker of the group on the pool as it is now, or -1 when it cannot be there. */
export function evaluate(inventory: Inventory, query: GroupQuery, pool: number): number {
  const pools = inventory.pools;
  const slot = pools.node(pool);
  const units = query.units;
  if (pools.whole(pool) < query.whole) return -1;
  if (query.isShare && pools.whole(pool) === 0 && pools.partial(pool) < units) return -1;
  const { figures } = inventory;
  const { numbers } = figures;
  const record = slot * recordSize;
  if ((numbers[record + offeredCpuAt] as number) < query.cpuUnits) return -1;
  if ((numbers[record + freeMemoryAt] as number) < query.memory) return -1;
  if ((figures.traits(slot) & query.traits) !== query.traits) return -1;
  if ((figures.rays(slot) & query.rays) !== query.rays) return -1;
  if (query.names.length > 0 && !inventory.has(slot, query.names)) return -1;
  const { allowed, latencies, maxLatencyMs } = query.area;
  if (allowed !== null && allowed[inventory.place[slot] as number] !== 1) return -1;
  if (query.caps !== null && capped(query.caps, slot)) return -1;
  const price = workerPrice(query, numbers[record + gpuPriceAt] as number, numbers[record + cpuPriceAt] as number);
  if (price > query.ceiling) return -1;
  let place = 1;
  if (latencies !== null) {
    const latencyMs = latencies.of(inventory.site[slot] as number);
    if (latencyMs > maxLatencyMs) return -1;
    place = latencyMs === Number.POSITIVE_INFINITY ? 0 : placePart(latencyMs);
  }
  return combine(
    query.share,
    pricePart(price, query.priceReference),
    (inventory.models.list[pools.model(pool)] as { speed: number }).speed,
    place,
    numbers[record + reputationAt] as number,
    numbers[record + stakeAt] as number,
    1 - (numbers[record + loadAt] as number),
    units > 0 ? deviceFit(inventory, query, pool) : cpuFit(inventory, query, slot),
  );
}

export function deviceFit(inventory: Inventory, query: GroupQuery, pool: number): number {
  const over = inventory.pools.units(pool) - query.units;
  const left = over / (inventory.pools.devices(pool) * unitsPerDevice);
  return query.packs ? 1 - left : left;
}

export function cpuFit(inventory: Inventory, query: GroupQuery, slot: number): number {
  if (inventory.hasFreeDevices(slot)) return 0;
  const all = inventory.cpuUnits[slot] as number;
  const left = all === 0 ? 0 : (inventory.freeCpuUnits(slot) - query.cpuUnits) / all;
  return query.packs ? 1 - left : left;
}

export const classOf = (caps: NonNullable<GroupQuery['caps']>, slot: number): number =>
  caps.classOf === null ? slot : (caps.classOf[slot] as number);

const capped = (caps: NonNullable<GroupQuery['caps']>, slot: number): boolean =>
  (caps.counts.get(classOf(caps, slot)) ?? 0) >= caps.most;

export class Search {
  readonly #ground: Ground;
  readonly #inventory: Inventory;
  readonly #forest: Forest;
  readonly #frontier: Frontier;
  readonly #queries: GroupQuery[];
  /** Only the first pool that comes is wanted: of each zone, only the best is kept. */
  readonly #first: boolean;

  /** Score of the best pool seen. */
  #best = -1;

  /** What `next` found. */
  pool = -1;
  group = 0;
  score = 0;

  /** Where the queries may go must be the same for all of them. */
  constructor(ground: Ground, queries: GroupQuery[], options: { first: boolean }) {
    const { inventory, stocks } = ground;
    this.#ground = ground;
    this.#inventory = inventory;
    this.#forest = queries.some(query => query.area.parts !== null) ? stocks.byPlace : stocks.anywhere;
    this.#frontier = ground.frontiers.pop() ?? new Frontier(inventory, this.#forest);
    this.#frontier.restart(this.#forest);
    this.#queries = queries;
    this.#first = options.first;
    for (const [group, query] of queries.entries()) {
      for (const audience of query.audiences) {
        for (const model of query.models) {
          const stock = stocks.of(audience, model);
          const root = stock === undefined ? -1 : this.#forest.root(stock);
          if (root !== -1) this.#see(root, this.#forest.zones.row[root] as number, query, group, this.#speed(model));
        }
      }
    }
  }

  /** The next best pool; false when no other can carry a worker. */
  next(): boolean {
    const frontier = this.#frontier;
    while (frontier.pop()) {
      const query = this.#queries[frontier.group] as GroupQuery;
      if (frontier.kind === zoneEntry) {
        this.#open(frontier.ref, query, frontier.group);
        continue;
      }
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
    return false;
  }

  /** Puts the pool that came last back, as it is now. */
  again(): void {
    const score = evaluate(this.#inventory, this.#queries[this.group] as GroupQuery, this.pool);
    if (score >= 0) this.#push(score, this.pool, this.group);
  }

  /** To be called when no more is wanted of it. */
  end(): void {
    this.#ground.frontiers.push(this.#frontier);
  }

  #push(score: number, pool: number, group: number): void {
    if (score > this.#best) this.#best = score;
    this.#frontier.push(score, poolEntry, pool, group);
  }

  #speed(model: number): number {
    return (this.#inventory.models.list[model] as { speed: number }).speed;
  }

  #see(zone: number, row: number, query: GroupQuery, group: number, speed: number): void {
    const place = this.#place(row, query);
    if (place < 0) return;
    const bound = this.#forest.zones.bounds.bound(row, query, speed, place);
    if (bound < 0 || (this.#first && bound < this.#best)) return;
    this.#frontier.push(bound, zoneEntry, zone, group);
  }

  #place(row: number, { area: { best, parts } }: GroupQuery): number {
    const { bounds } = this.#forest.zones;
    return parts === null ? best : parts.between(bounds.firstPlace(row), bounds.lastPlace(row));
  }

  #open(zone: number, query: GroupQuery, group: number): void {
    const { level, members, row, rows, size, stock } = this.#forest.zones;
    const speed = this.#speed(this.#ground.stocks.model(stock[zone] as number));
    if (level[zone] === 0) {
      const best = this.#openLeaf(zone, row[zone] as number, query, group, speed);
      // Whose best is no less than was promised need not be looked through for what is there.
      if (best < this.#frontier.score) this.#forest.tighten(zone);
      return;
    }
    const start = zone * fanOut;
    const end = start + (size[zone] as number);
    const first = (rows[zone] as number) - start;
    for (let at = start; at < end; at++) this.#see(members[at] as number, first + at, query, group, speed);
  }

  /** Best score of a pool that came up. */
  #openLeaf(leaf: number, row: number, query: GroupQuery, group: number, speed: number): number {
    const { bounds, cards, members, size } = this.#forest.zones;
    const start = leaf * fanOut;
    const end = start + (size[leaf] as number);
    // What a pool scores besides what its card says, at most.
    const more =
      query.share.speed * speed +
      query.share.place * this.#place(row, query) +
      query.share.fit * bounds.fit(row, query);
    let best = -1;
    let bestScore = -1;
    for (let at = start; at < end; at++) {
      const bound = cardBound(cards, at * cardSize, query);
      if (bound < 0 || (this.#first && bound + more < Math.max(this.#best, bestScore))) continue;
      const pool = members[at] as number;
      const score = evaluate(this.#inventory, query, pool);
      if (score < 0) continue;
      if (!this.#first) this.#push(score, pool, group);
      if (score > bestScore || (score === bestScore && this.#comesBefore(pool, best))) {
        best = pool;
        bestScore = score;
      }
    }
    if (this.#first && best !== -1) this.#push(bestScore, best, group);
    return bestScore;
  }

  #comesBefore(pool: number, other: number): boolean {
    const { pools, ids } = this.#inventory;
    return (ids[pools.node(pool)] as string) < (ids[pools.node(other)] as string);
  }
}
