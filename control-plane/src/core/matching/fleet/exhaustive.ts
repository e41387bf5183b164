/** For few workers on few nodes: every way there is, until one is found. Greedy may miss it where unlike groups compete. */
import { cpuPriceAt, gpuPriceAt } from './figures.js';
import { type Batch, capacity } from './gang.js';
import type { GroupQuery } from './query.js';
import { workerPrice } from './query.js';
import { evaluate, type Ground, Search } from './search.js';
import type { Trial } from './trial.js';

const maxWorkers = 8;
const maxPools = 32;
const maxSteps = 20_000;

interface Choice {
  pool: number;
  price: number;
}

/** 'found': the trial holds a placement. 'none': there is none. 'unknown': too many ways to try them all. */
export function tryAll(
  ground: Ground,
  trial: Trial,
  batches: Batch[],
  options: { colocate: 'node' | 'domain' | 'any'; ceiling: number },
): 'found' | 'none' | 'unknown' {
  const workers = batches.flatMap(batch => Array.from({ length: Math.min(batch.count, maxWorkers + 1) }, () => batch));
  if (workers.length > maxWorkers) return 'unknown';
  const choices = new Map<GroupQuery, Choice[]>();
  trial.settle();
  for (const { query } of batches) {
    const some = poolsFor(ground, query);
    if (some === null) return 'unknown';
    choices.set(query, some);
  }
  const { inventory } = ground;
  const least = workers.map(({ query }) => Math.min(...(choices.get(query) ?? []).map(choice => choice.price)));
  const leastAfter = (at: number) => least.slice(at + 1).reduce((total, price) => total + price, 0);
  let steps = 0;
  const search = (at: number, first: number, key: number): 'found' | 'none' | 'unknown' => {
    const batch = workers[at];
    if (batch === undefined) return 'found';
    const { query, from } = batch;
    const ordinal = from + workers.slice(0, at).filter(other => other === batch).length;
    const pools = choices.get(query) ?? [];
    for (let index = first; index < pools.length; index++) {
      const { pool, price } = pools[index] as Choice;
      const here = keyOf(pool);
      if (key !== -1 && here !== key) continue;
      if (trial.price + price + leastAfter(at) > options.ceiling) continue;
      if (evaluate(inventory, query, pool) < 0) continue;
      for (const device of devicesFor(query, pool)) {
        if (++steps > maxSteps) return 'unknown';
        const count = trial.puts.length;
        trial.put(query, ordinal, 0, pool, device);
        const result = search(at + 1, workers[at + 1] === batch ? index : 0, here);
        if (result !== 'none') return result;
        trial.undoTo(count);
      }
    }
    return 'none';
  };
  const keyOf = (pool: number) => {
    const slot = inventory.pools.node(pool);
    return options.colocate === 'any' ? -1 : options.colocate === 'node' ? slot : (inventory.domain[slot] as number);
  };
  /** Shares of unlike groups may have to be combined: each device that differs in what is free of it is a way. */
  const devicesFor = (query: GroupQuery, pool: number): (number | undefined)[] => {
    if (!query.isShare) return [undefined];
    const { pools } = inventory;
    const byUnits = new Map<number, number>();
    const first = pools.firstDevice(pool);
    for (let device = first; device < first + pools.devices(pool); device++) {
      const free = pools.deviceUnits[device] as number;
      if (free >= query.units && !byUnits.has(free)) byUnits.set(free, device);
    }
    return [...byUnits].sort(([a], [b]) => a - b).map(([, device]) => device);
  };
  const start = trial.puts.length;
  const result = search(0, 0, -1);
  if (result !== 'found') trial.undoTo(start);
  return result;
}

/** All pools that can carry one worker of the group, the best first; null when they are too many. */
function poolsFor(ground: Ground, query: GroupQuery): Choice[] | null {
  const { inventory } = ground;
  const search = new Search(ground, [query], { first: false });
  const choices: Choice[] = [];
  while (search.next()) {
    if (choices.length === maxPools) return null;
    const slot = inventory.pools.node(search.pool);
    const price = workerPrice(query, inventory.figures.get(slot, gpuPriceAt), inventory.figures.get(slot, cpuPriceAt));
    if (capacity(inventory, query, search.pool) > 0) choices.push({ pool: search.pool, price });
  }
  return choices;
}
