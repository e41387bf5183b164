/** One attempt to place all workers of a request: greedy, worker by worker, each at the best place that is left. */
import { Frontier, poolEntry } from './frontier.js';
import type { Inventory } from './inventory.js';
import type { GroupQuery } from './query.js';
import { evaluate, type Ground, Search } from './search.js';
import type { Trial } from './trial.js';
import { unitsPerDevice } from './types.js';

/** Workers `from` … `from + count − 1` of a group. */
export interface Batch {
  query: GroupQuery;
  from: number;
  count: number;
}

/** For so few workers it is cheaper to look for each anew than to keep all that was seen on the way. */
const fewWorkers = 2;

/** All batches wherever there is room. False: something had none; what was put until then stands. */
export function placeAnywhere(ground: Ground, trial: Trial, batches: Batch[]): boolean {
  return batches.every(batch => fill(ground, trial, batch));
}

function fill(ground: Ground, trial: Trial, { query, from, count }: Batch): boolean {
  if (count <= fewWorkers) {
    for (let ordinal = from; ordinal < from + count; ordinal++) {
      trial.settle();
      const one = new Search(ground, [query], { first: true });
      const found = one.next();
      if (found) trial.put(query, ordinal, 0, one.pool);
      one.end();
      if (!found) return false;
    }
    return true;
  }
  trial.settle();
  const all = new Search(ground, [query], { first: false });
  let ordinal = from;
  for (; ordinal < from + count && all.next(); ordinal++) {
    trial.put(query, ordinal, 0, all.pool);
    all.again();
  }
  all.end();
  return ordinal === from + count;
}

/**
 * All batches in one domain (or on one node). Pools come best first, over all batches, and each adds the workers that it
 * could carry to its domain; the first domain that could carry all is tried, worker by worker at the best place in it,
 * then the next. So the domain is taken whose last needed pool is best: a gang is as good as its worst place.
 * `cheapest`: instead, of all domains that can, the one where it costs least.
 */
export function placeTogether(
  ground: Ground,
  trial: Trial,
  batches: Batch[],
  options: { by: 'node' | 'domain'; cell: number; cheapest: boolean; mayUse: (key: number) => boolean },
): number | null {
  const { inventory } = ground;
  const keyOf = (slot: number) => (options.by === 'node' ? slot : (inventory.domain[slot] as number));
  const queries = batches.map(batch => batch.query);
  trial.settle();
  const search = new Search(ground, queries, { first: false });
  const missing = new Map<number, number[]>();
  const start = trial.puts.length;
  let cheapest: { key: number; price: number } | null = null;
  const before = trial.price;
  while (search.next()) {
    const slot = inventory.pools.node(search.pool);
    const key = keyOf(slot);
    let counts = missing.get(key);
    if (counts === undefined) {
      counts = options.mayUse(key) ? batches.map(batch => batch.count) : [];
      missing.set(key, counts);
    }
    const left = counts[search.group];
    if (left === undefined || left <= 0) continue;
    counts[search.group] = left - capacity(inventory, queries[search.group] as GroupQuery, search.pool);
    if (counts.some(count => count > 0)) continue;
    missing.set(key, []);
    if (fillKey(ground, trial, batches, key, options)) {
      if (!options.cheapest) return key;
      const price = trial.price - before;
      if (cheapest === null || price < cheapest.price) cheapest = { key, price };
    }
    trial.undoTo(start);
  }
  if (cheapest === null || !fillKey(ground, trial, batches, cheapest.key, options)) return null;
  return cheapest.key;
}

/** How many workers of the group the pool can carry as it is now, were there no anti-affinity. */
export function capacity(inventory: Inventory, query: GroupQuery, pool: number): number {
  const { pools } = inventory;
  const slot = pools.node(pool);
  let most = Number.MAX_SAFE_INTEGER;
  if (query.cpuUnits > 0) most = Math.min(most, Math.floor(inventory.freeCpuUnits(slot) / query.cpuUnits));
  if (query.memory > 0) most = Math.min(most, Math.floor(inventory.freeMemory(slot) / query.memory));
  if (query.whole > 0) return Math.min(most, Math.floor(pools.whole(pool) / query.whole));
  if (!query.isShare) return most;
  let shares = 0;
  const first = pools.firstDevice(pool);
  const end = first + pools.devices(pool);
  for (let device = first; device < end; device++) {
    shares += Math.floor((pools.deviceUnits[device] as number) / query.units);
  }
  return Math.min(most, shares);
}

function fillKey(
  ground: Ground,
  trial: Trial,
  batches: Batch[],
  key: number,
  { by, cell }: { by: 'node' | 'domain'; cell: number },
): boolean {
  const { inventory } = ground;
  for (const { query, from, count } of batches) {
    const frontier = new Frontier(inventory, ground.stocks.anywhere);
    const see = (pool: number) => {
      const score = evaluate(inventory, query, pool);
      if (score >= 0) frontier.push(score, poolEntry, pool, 0);
    };
    const seeNode = (slot: number) => {
      if (!query.audiences.includes(inventory.audience[slot] as number)) return;
      for (let pool = inventory.firstPool[slot] as number; pool !== -1; pool = inventory.pools.next(pool)) {
        if (query.models.includes(inventory.pools.model(pool))) see(pool);
      }
    };
    if (by === 'node') seeNode(key);
    else {
      for (let slot = inventory.firstInDomain[key] ?? -1; slot !== -1; slot = inventory.nextInDomain[slot] as number) {
        seeNode(slot);
      }
    }
    for (let ordinal = from; ordinal < from + count; ) {
      if (!frontier.pop()) return false;
      const pool = frontier.ref;
      const score = evaluate(inventory, query, pool);
      if (score === frontier.score) {
        trial.put(query, ordinal, cell, pool);
        ordinal += 1;
      }
      see(pool);
    }
  }
  return true;
}

/** The workers in their groups' order, cut into cells of so many. */
export function cutIntoCells(batches: Batch[], workersEach: number): Batch[][] {
  const cells: Batch[][] = [];
  let room = 0;
  for (const { query, count } of [...batches].sort((a, b) => a.query.position - b.query.position)) {
    for (let from = 0; from < count; ) {
      if (room === 0) {
        cells.push([]);
        room = workersEach;
      }
      const some = Math.min(room, count - from);
      cells.at(-1)?.push({ query, from, count: some });
      from += some;
      room -= some;
    }
  }
  const order = batches.map(batch => batch.query);
  return cells.map(cell => cell.sort((a, b) => order.indexOf(a.query) - order.indexOf(b.query)));
}

/**
 * Cell by cell, each in one domain (or on one node): among the domains with the fewest cells of this placement so far
 * that can carry it.
 */
export function placeCells(
  ground: Ground,
  trial: Trial,
  cells: Batch[][],
  options: { by: 'node' | 'domain'; cheapest: boolean },
): boolean {
  const used = new Map<number, number>();
  let level = 0;
  let previous = -1;
  for (const [cell, batches] of cells.entries()) {
    // A smaller cell may find room where the larger ones before it found none.
    const size = batches.reduce((total, batch) => total + batch.count, 0);
    if (size !== previous || batches.length > 1) level = 0;
    previous = size;
    for (;;) {
      const most = level;
      const mayUse = (key: number) => (used.get(key) ?? 0) <= most;
      const key = placeTogether(ground, trial, batches, { ...options, cell, mayUse });
      if (key !== null) {
        used.set(key, (used.get(key) ?? 0) + 1);
        break;
      }
      level += 1;
      if (level > Math.max(0, ...used.values())) return false;
    }
  }
  return true;
}

export const shareOf = (query: GroupQuery): number => (query.isShare ? query.units / unitsPerDevice : 1);
