import { describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { Bounds } from './bounds.js';
import { cardBound, cardSize } from './cards.js';
import type { Forest } from './forest.js';
import { Latencies } from './geography.js';
import { Inventory } from './inventory.js';
import { compile, type GroupQuery } from './query.js';
import { evaluate, Search } from './search.js';
import { Stocks } from './stocks.js';
import { anyNode, anyRequest, nodeName } from './testing/arbitraries.js';
import type { FleetNode, PlacementRequest } from './types.js';
import { fanOut } from './zones.js';

class Index {
  readonly inventory = new Inventory();
  readonly stocks = new Stocks(this.inventory);
  readonly names = new Set<string>();

  put(node: FleetNode): void {
    const slot = this.inventory.slotFor(node.nodeId);
    this.stocks.drop(slot);
    this.inventory.write(slot, node);
    this.stocks.changed(slot);
    this.names.add(node.nodeId);
  }

  remove(name: string): void {
    if (!this.names.delete(name)) return;
    const slot = this.inventory.find(name);
    this.stocks.drop(slot);
    this.inventory.leave(slot);
  }

  /** Uses (or gives back) the first device and a CPU, where there are. */
  use(sign: 1 | -1, name: string): void {
    const { inventory } = this;
    if (!this.names.has(name)) return;
    const slot = inventory.find(name);
    const pool = inventory.pools.next(inventory.firstPool[slot] as number);
    const cpuUnits = (inventory.cpuUnits[slot] as number) >= 10_000 ? 10_000 : 0;
    const isUsed = pool !== -1 && inventory.pools.units(pool) < inventory.pools.devices(pool) * 10_000;
    if (pool === -1 || isUsed !== (sign === -1)) return;
    inventory.pools.use(sign, inventory.pools.firstDevice(pool), 10_000);
    inventory.pools.recount(pool);
    inventory.use(sign, slot, cpuUnits, 0);
    this.stocks.freeChanged(slot);
  }

  queries(request: PlacementRequest): GroupQuery[] {
    return compile(request, this.inventory, from => new Latencies(this.inventory.geography, from)) ?? [];
  }

  /** Roots of what shared nodes have. */
  roots(forest: Forest): { root: number; model: number }[] {
    return this.inventory.models.list.flatMap((_, model) => {
      const stock = this.stocks.of(0, model);
      const root = stock === undefined ? -1 : forest.root(stock);
      return root === -1 ? [] : [{ root, model }];
    });
  }
}

/** Every zone from the root down, with all pools in it. Fails where the tree is not one. */
function zones(forest: Forest, zone: number): { zone: number; pools: number[] }[] {
  const size = forest.zones.size[zone] as number;
  expect(size).toBeGreaterThan(0);
  expect(size).toBeLessThanOrEqual(fanOut);
  const members = [...forest.zones.members.subarray(zone * fanOut, zone * fanOut + size)];
  if (forest.zones.level[zone] === 0) return [{ zone, pools: members }];
  const below = members.map(member => {
    expect(forest.zones.level[member]).toBe((forest.zones.level[zone] as number) - 1);
    return zones(forest, member);
  });
  return [{ zone, pools: below.flatMap(([highest]) => highest?.pools ?? []) }, ...below.flat()];
}

const anyStep = fc.oneof(
  { weight: 4, arbitrary: fc.nat(199).chain(number => fc.record({ put: anyNode(number) })) },
  { weight: 1, arbitrary: fc.record({ remove: fc.nat(199) }) },
  { weight: 3, arbitrary: fc.record({ use: fc.nat(199), sign: fc.constantFrom(1 as const, -1 as const) }) },
);

describe('the index', () => {
  test('has every pool that work may be placed on once, and no bound or card below what a pool scores', () => {
    fc.assert(
      fc.property(
        fc.array(anyStep, { minLength: 50, maxLength: 900 }),
        anyRequest({ groups: 1, workers: 1 }),
        // CPUs are counted in 1/10,000: what they are rounded by must not lift a score over its bound.
        fc.constantFrom(1, 1.00004),
        (steps, asked, times) => {
          const request = { ...asked, groups: asked.groups.map(group => ({ ...group, cpus: group.cpus * times })) };
          const index = new Index();
          for (const step of steps) {
            if ('put' in step) index.put(step.put);
            else if ('use' in step) index.use(step.sign, nodeName(step.use));
            else index.remove(nodeName(step.remove));
          }
          const { inventory, stocks } = index;
          const [query] = index.queries(request);
          for (const forest of [stocks.anywhere, stocks.byPlace]) {
            const seen: number[] = [];
            for (const { root, model } of index.roots(forest)) {
              const all = zones(forest, root);
              seen.push(...(all[0]?.pools ?? []));
              const speed = inventory.models.list[model]?.speed ?? 0;
              for (const isTight of [false, true]) {
                for (const { zone, pools } of all) {
                  if (isTight && forest.zones.level[zone] === 0) forest.tighten(zone);
                  if (!query?.models.includes(model)) continue;
                  const row = forest.zones.row[zone] as number;
                  const place = query.area.parts?.between(
                    forest.zones.bounds.firstPlace(row),
                    forest.zones.bounds.lastPlace(row),
                  );
                  const bound =
                    place === -1 ? -1 : forest.zones.bounds.bound(row, query, speed, place ?? query.area.best);
                  const more =
                    query.share.speed * speed +
                    query.share.place * (place ?? query.area.best) +
                    query.share.fit * forest.zones.bounds.fit(row, query);
                  for (const [at, pool] of pools.entries()) {
                    const score = evaluate(inventory, query, pool);
                    expect(score).toBeLessThanOrEqual(bound);
                    if (score < 0 || forest.zones.level[zone] !== 0) continue;
                    const card = cardBound(forest.zones.cards, (zone * fanOut + at) * cardSize, query);
                    expect(card).toBeGreaterThanOrEqual(0);
                    expect(score).toBeLessThanOrEqual(card + more);
                  }
                }
              }
            }
            const expected: number[] = [];
            for (const name of index.names) {
              const slot = inventory.find(name);
              if (inventory.audience[slot] !== 0) continue;
              for (let pool = inventory.firstPool[slot] as number; pool !== -1; pool = inventory.pools.next(pool)) {
                if (inventory.available(pool)) expected.push(pool);
              }
            }
            expect([...seen].sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('a search', () => {
  const boundsLookedAt = (index: Index, request: PlacementRequest): number => {
    const looks = jest.spyOn(Bounds.prototype, 'bound');
    const search = new Search({ ...index, frontiers: [] }, index.queries(request), { first: true });
    search.next();
    const { length } = looks.mock.calls;
    looks.mockRestore();
    return length;
  };
  const anyLone = anyRequest({ groups: 1, workers: 1 });

  test('among thousands of nodes that are all alike looks at few of them, and finds the one with the smallest id', () => {
    fc.assert(
      fc.property(anyNode(0), anyLone, (like, request) => {
        const index = new Index();
        // Not in the order of their names.
        for (let number = 0; number < 3_000; number++) index.put({ ...like, nodeId: nodeName((number * 7) % 3_000) });
        expect(boundsLookedAt(index, request)).toBeLessThan(150);
        const queries = index.queries(request);
        const search = new Search({ ...index, frontiers: [] }, queries, { first: true });
        if (search.next()) expect(index.inventory.ids[index.inventory.pools.node(search.pool)]).toBe(nodeName(0));
      }),
      { numRuns: 20 },
    );
  });

  test('that nothing can satisfy ends at once, however large the fleet', () => {
    const [like] = fc.sample(anyNode(0), { numRuns: 1, seed: 1 });
    const [request] = fc.sample(anyLone, { numRuns: 1, seed: 1 });
    if (!like || !request) throw new Error('no samples');
    const index = new Index();
    for (let number = 0; number < 3_000; number++) {
      index.put({
        ...like,
        nodeId: nodeName(number),
        compliance: number === 0 ? ['soc2'] : [],
        load: (number % 7) / 7,
      });
    }
    const impossible = { ...request, where: {}, compliance: [], maxMicroUsdPerHour: null };
    const group = { name: 'g', workers: 1, cpus: 1e5, memoryBytes: 0, devices: 0, accelerator: null };
    expect(boundsLookedAt(index, { ...impossible, groups: [group] })).toBeLessThan(10);
  });
});
