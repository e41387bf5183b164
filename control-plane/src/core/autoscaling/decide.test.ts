import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decide, type Group, type Situation, type Worker } from './decide.js';
import type { Bundle, Demand } from './demand.js';

const group = (more: Partial<Group> = {}): Group => ({
  name: 'w',
  count: 0,
  minCount: 0,
  maxCount: 4,
  idleTimeoutMs: 60_000,
  shape: { CPU: 2 },
  labels: {},
  starting: 0,
  grownAtMs: null,
  ...more,
});
const worker = (id: string, more: Partial<Worker> = {}): Worker => ({
  id,
  group: 'w',
  labels: {},
  free: { CPU: 2 },
  total: { CPU: 2 },
  idleMs: 0,
  ...more,
});
const cpus = (CPU: number): Bundle => ({ resources: { CPU }, labels: [] });
const tasks = (bundle: Bundle, count: number): Demand => ({ waiting: [{ bundle, count }], gangs: [], requested: [] });
const nothing: Demand = { waiting: [], gangs: [], requested: [] };
const situation = (more: Partial<Situation> = {}): Situation => ({
  groups: [group()],
  workers: [],
  demand: nothing,
  nowMs: 1_000_000,
  ...more,
});

describe('a group grows', () => {
  test('by as many workers as what waits needs, and says for what', () => {
    expect(decide(situation({ demand: tasks(cpus(1), 3) })).grow).toEqual([
      { group: 'w', by: 2, why: '3 tasks wait for 1 CPU each' },
    ]);
  });

  test('not for what fits into free room, nor for what is on its way', () => {
    const demand = tasks(cpus(1), 4);
    expect(decide(situation({ groups: [group({ count: 2 })], workers: [worker('a')], demand })).grow).toEqual([]);
    const free = { CPU: 1 };
    expect(decide(situation({ groups: [group({ count: 1 })], workers: [worker('a', { free })], demand })).grow).toEqual(
      [{ group: 'w', by: 2, why: '4 tasks wait for 1 CPU each' }],
    );
  });

  test('never past its bound, and in steps', () => {
    const demand = tasks(cpus(2), 1_000);
    expect(decide(situation({ demand })).grow[0]?.by).toBe(4);
    expect(decide(situation({ groups: [group({ maxCount: 100 })], demand })).grow[0]?.by).toBe(4);
    expect(decide(situation({ groups: [group({ maxCount: 100, count: 30 })], demand })).grow[0]?.by).toBe(30);
    expect(decide(situation({ groups: [group({ count: 4 })], demand })).grow).toEqual([]);
  });

  test('only after a rest', () => {
    const demand = tasks(cpus(2), 1);
    expect(decide(situation({ groups: [group({ grownAtMs: 998_000 })], demand })).grow).toEqual([]);
    expect(decide(situation({ groups: [group({ grownAtMs: 990_000 })], demand })).grow).toHaveLength(1);
  });

  test('where labels and resources of the demand are, in the leanest group that has them', () => {
    const groups = [
      group({ name: 'gpu', shape: { CPU: 8, GPU: 1 }, labels: { zone: 'a' } }),
      group({ name: 'cpu', labels: { zone: 'b' } }),
    ];
    const grown = (bundle: Bundle) =>
      decide(situation({ groups, demand: tasks(bundle, 1) })).grow.map(one => one.group);
    expect(grown(cpus(1))).toEqual(['cpu']);
    expect(grown(cpus(4))).toEqual(['gpu']);
    expect(grown({ resources: { GPU: 1 }, labels: [] })).toEqual(['gpu']);
    const zone = (values: string[], negated = false) => ({ ...cpus(1), labels: [{ key: 'zone', values, negated }] });
    expect(grown(zone(['a', 'c']))).toEqual(['gpu']);
    expect(grown(zone(['b'], true))).toEqual(['gpu']);
    expect(grown(zone(['c']))).toEqual([]);
    expect(grown({ ...cpus(1), labels: [{ key: 'ray.io/node-id', values: ['ab'], negated: false }] })).toEqual([]);
  });

  test('for a placement group only when all of it will fit', () => {
    const gangs = (strategy: 'any' | 'strict-spread' | 'strict-pack', ...bundles: Bundle[]) =>
      decide(situation({ demand: { waiting: [], gangs: [{ strategy, bundles }], requested: [] } })).grow.map(
        ({ by }) => by,
      );
    expect(gangs('any', cpus(1), cpus(1), cpus(1))).toEqual([2]);
    expect(gangs('strict-spread', cpus(1), cpus(1), cpus(1))).toEqual([3]);
    expect(gangs('strict-pack', cpus(1), cpus(1))).toEqual([1]);
    expect(gangs('strict-pack', cpus(1), cpus(1), cpus(1))).toEqual([]);
    expect(gangs('strict-spread', cpus(1), cpus(1), cpus(1), cpus(1), cpus(1))).toEqual([]);
    expect(gangs('any', cpus(1), cpus(3))).toEqual([]);
  });
});

describe('what a program requests', () => {
  const requests = (count: number): Demand => ({ ...nothing, requested: [{ bundle: cpus(1), count }] });

  test('counts against whole nodes, busy or not, and lets the group grow as far as it may', () => {
    const workers = [worker('head', { group: 'head', total: { CPU: 1 } }), worker('a', { free: {}, idleMs: null })];
    const grown = (count: number) =>
      decide(situation({ groups: [group({ count: 1 })], workers, demand: requests(count) })).grow;
    expect(grown(3)).toEqual([]);
    expect(grown(5)).toEqual([{ group: 'w', by: 1, why: 'a program requests 5 times 1 CPU' }]);
    expect(grown(1_000)[0]?.by).toBe(3);
  });

  test('keeps idle workers for as long as it is requested', () => {
    const workers = ['a', 'b', 'c'].map(id => worker(id, { idleMs: 90_000 }));
    const retired = (count: number) =>
      decide(situation({ groups: [group({ count: 3 })], workers, demand: requests(count) })).retire.map(({ id }) => id);
    expect(retired(3)).toEqual(['c']);
    expect(retired(0)).toHaveLength(3);
  });
});

describe('a group shrinks', () => {
  const idle = (id: string, idleMs: number | null) => worker(id, { idleMs });

  test('by what has been idle for its time, the longest first, not below its bound', () => {
    const workers = [idle('a', 61_000), idle('b', 90_000), idle('c', 59_000), idle('d', null)];
    const retired = (minCount: number) =>
      decide(situation({ groups: [group({ count: 4, minCount })], workers })).retire.map(({ id }) => id);
    expect(retired(0)).toEqual(['b', 'a']);
    expect(retired(3)).toEqual(['b']);
    expect(retired(4)).toEqual([]);
  });

  test('not by a worker that something waits for', () => {
    const workers = [idle('a', 90_000), idle('b', 80_000)];
    const decision = decide(situation({ groups: [group({ count: 2 })], workers, demand: tasks(cpus(2), 1) }));
    expect(decision.retire.map(({ id }) => id)).toEqual(['b']);
  });

  test('by workers that found no place, once nothing waits for them any more', () => {
    const stuck = group({ count: 3, grownAtMs: 900_000 });
    expect(decide(situation({ groups: [stuck] })).giveUp).toEqual([{ group: 'w', by: 3 }]);
    expect(decide(situation({ groups: [stuck], demand: tasks(cpus(2), 1) })).giveUp).toEqual([{ group: 'w', by: 2 }]);
    expect(decide(situation({ groups: [{ ...stuck, starting: 2 }] })).giveUp).toEqual([{ group: 'w', by: 1 }]);
    expect(decide(situation({ groups: [{ ...stuck, grownAtMs: 999_000 }] })).giveUp).toEqual([]);
  });

  test('never the head, nor a group of fixed size', () => {
    const workers = [idle('head', 1e9), worker('fixed', { group: 'fixed', idleMs: 1e9 })];
    expect(decide(situation({ workers: [{ ...workers[0], group: 'head' } as Worker, ...workers.slice(1)] }))).toEqual({
      grow: [],
      retire: [],
      giveUp: [],
    });
  });
});

/** A cluster in virtual time: workers join after a while, tasks run where they fit, what is idle is timed. */
class Simulated {
  nowMs = 0;
  count: number;
  grownAtMs: number | null = null;
  workers: { id: string; running: number[]; joinsAt: number; idleSince: number }[] = [];
  changes = 0;
  #made = 0;

  constructor(
    readonly bounds: Group,
    /** CPUs of each task of a load that never ends. */
    readonly load: number[],
  ) {
    this.count = bounds.count;
    this.#fill();
  }

  #fill(): void {
    while (this.workers.length < this.count) {
      this.#made += 1;
      const joinsAt = this.nowMs + 7_000;
      this.workers.push({ id: `n${this.#made}`, running: [], joinsAt, idleSince: joinsAt });
    }
  }

  step(): void {
    this.nowMs += 2_000;
    const joined = this.workers.filter(one => one.joinsAt <= this.nowMs);
    const cpu = this.bounds.shape.CPU ?? 0;
    const free = (one: (typeof joined)[number]) => cpu - one.running.reduce((total, task) => total + task, 0);
    const waiting = [...this.load];
    for (const one of joined) for (const task of one.running) waiting.splice(waiting.indexOf(task), 1);
    for (const task of [...waiting]) {
      const target = joined.find(one => free(one) >= task);
      if (!target) continue;
      target.running.push(task);
      waiting.splice(waiting.indexOf(task), 1);
    }
    for (const one of joined) if (one.running.length > 0) one.idleSince = this.nowMs;
    const decision = decide({
      nowMs: this.nowMs,
      groups: [{ ...this.bounds, count: this.count, grownAtMs: this.grownAtMs }],
      workers: joined.map(one => ({
        id: one.id,
        group: this.bounds.name,
        labels: {},
        free: { CPU: free(one) },
        total: { CPU: cpu },
        idleMs: one.running.length > 0 ? null : this.nowMs - one.idleSince,
      })),
      demand: { waiting: waiting.map(task => ({ bundle: cpus(task), count: 1 })), gangs: [], requested: [] },
    });
    for (const { id } of decision.retire) {
      const retired = this.workers.find(one => one.id === id);
      expect(retired?.running).toEqual([]);
      this.workers = this.workers.filter(one => one.id !== id);
      this.count -= 1;
      this.changes += 1;
    }
    for (const { by } of decision.giveUp) {
      this.workers.splice(this.workers.length - by, by);
      this.count -= by;
      this.changes += 1;
    }
    for (const { by } of decision.grow) {
      this.count += by;
      this.grownAtMs = this.nowMs;
      this.changes += 1;
    }
    this.#fill();
  }
}

const bounded = fc
  .record({
    shape: fc.integer({ min: 1, max: 8 }),
    min: fc.integer({ min: 0, max: 5 }),
    spread: fc.integer({ min: 0, max: 20 }),
    start: fc.integer({ min: 0, max: 20 }),
    idleTimeoutMs: fc.integer({ min: 0, max: 60_000 }),
  })
  .map(({ shape, min, spread, start, idleTimeoutMs }) =>
    group({
      minCount: min,
      maxCount: min + spread,
      count: min + Math.min(start, spread),
      idleTimeoutMs,
      shape: { CPU: shape },
    }),
  );
const someLoad = fc.array(fc.integer({ min: 1, max: 10 }), { maxLength: 40 });

describe('whatever waits', () => {
  test('bounds are never passed, no busy worker is retired, and each at most once', () => {
    const anyWorker = fc.record({ free: fc.nat({ max: 8 }), idleMs: fc.option(fc.nat({ max: 200_000 })) });
    fc.assert(
      fc.property(bounded, fc.array(anyWorker, { maxLength: 30 }), someLoad, (bounds, present, load) => {
        const workers = present
          .slice(0, bounds.count)
          .map(({ free, idleMs }, index) => worker(`n${index}`, { free: { CPU: free }, idleMs }));
        const waiting = load.map(task => ({ bundle: cpus(task), count: 2 }));
        const gangs = [{ bundles: load.slice(0, 4).map(cpus), strategy: 'strict-spread' as const }];
        const demand = { waiting, gangs, requested: waiting.slice(-3) };
        const { grow, retire, giveUp } = decide(situation({ groups: [bounds], workers, demand }));
        const by = (list: { by: number }[]) => list.reduce((total, one) => total + one.by, 0);
        expect(bounds.count + by(grow)).toBeLessThanOrEqual(bounds.maxCount);
        expect(bounds.count - by(giveUp) - retire.length).toBeGreaterThanOrEqual(bounds.minCount);
        if (grow.length > 0) expect(retire.length + giveUp.length).toBe(0);
        for (const { id } of retire) expect(workers.find(one => one.id === id)?.idleMs).not.toBeNull();
        expect(new Set(retire.map(({ id }) => id)).size).toBe(retire.length);
      }),
    );
  });

  test('what can never fit makes nothing grow', () => {
    fc.assert(
      fc.property(bounded, fc.integer({ min: 1, max: 1_000 }), (bounds, count) => {
        const tooBig = cpus((bounds.shape.CPU ?? 0) + 1);
        const gang = { bundles: [cpus(1), tooBig], strategy: 'any' as const };
        const demand = { waiting: [{ bundle: tooBig, count }], gangs: [gang], requested: [{ bundle: tooBig, count }] };
        expect(decide(situation({ groups: [bounds], demand })).grow).toEqual([]);
      }),
    );
  });

  test('under a constant load the size comes to rest, and what fits within the bounds runs', () => {
    fc.assert(
      fc.property(bounded, someLoad, (bounds, load) => {
        const cluster = new Simulated(bounds, load);
        for (let look = 0; look < 200; look += 1) cluster.step();
        const settled = cluster.changes;
        for (let look = 0; look < 200; look += 1) cluster.step();
        expect(cluster.changes).toBe(settled);
        expect(cluster.count).toBeGreaterThanOrEqual(bounds.minCount);
        expect(cluster.count).toBeLessThanOrEqual(bounds.maxCount);
        const fitting = load.filter(task => task <= (bounds.shape.CPU ?? 0));
        const running = cluster.workers.flatMap(one => one.running);
        if (cluster.count < bounds.maxCount) expect([...running].sort()).toEqual([...fitting].sort());
      }),
    );
  });
});
