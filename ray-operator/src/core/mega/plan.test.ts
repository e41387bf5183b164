import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { aCellGroup, aMega, changed, TinyKubernetesClusters } from '../testing/mega-builders.js';
import type { Cell } from './cells.js';
import { cellName, localCluster, megaFinalizer } from './names.js';
import { reasons } from './removals.js';
import { cellShares } from './shares.js';

const countBy = <T>(items: T[], key: (item: T) => string) => {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
};
const placeOf = ({ place }: Cell) => `${place.kubernetesCluster}/${place.domain}`;

const sizes = { weight: fc.integer({ min: 1, max: 5 }), domains: fc.integer({ min: 0, max: 3 }) };
const groupsOf = (list: { weight: number; domains: number }[], image: string) =>
  list.map(({ weight, domains }, index) => {
    const names = Array.from({ length: domains }, (_, each) => `zone-${each}`);
    const places = [{ kubernetesCluster: localCluster, ...(domains > 0 ? { domains: names } : {}) }];
    return changed(aCellGroup({ name: `g${index}`, weight, places }), image);
  });
const groups = fc.array(fc.record(sizes), { minLength: 1, maxLength: 3 });
const budgets = fc
  .record({ maxUnavailable: fc.integer({ min: 0, max: 3 }), maxSurge: fc.integer({ min: 0, max: 3 }) })
  .filter(({ maxUnavailable, maxSurge }) => maxUnavailable + maxSurge > 0);
/** Each run is a whole life. */
const numRuns = 40;
/** Which of the starting cells come up after each step: the plan has to bear any order. */
const luck = fc.infiniteStream(fc.boolean());

test('whatever is asked for in turn, the cells become exactly that, evenly spread, each of the newest template', () => {
  const wish = fc.record({ replicas: fc.nat(12), image: fc.constantFrom('a', 'b', 'c') });
  fc.assert(
    fc.property(groups, budgets, fc.array(wish, { minLength: 1, maxLength: 4 }), (list, rollout, wishes) => {
      const world = new TinyKubernetesClusters();
      for (const { replicas, image } of wishes) {
        const mega = aMega({ replicas, rollout, cellGroups: groupsOf(list, image) });
        world.settle(mega, 100);
        const cells = world.cells(mega);
        const derived = world.derive(mega);
        expect(cells).toHaveLength(replicas);
        for (const [name, { desired, templateHash, places }] of derived.groups) {
          const own = cells.filter(({ group }) => group === name);
          expect(own).toHaveLength(desired);
          expect(own.every(cell => cell.templateHash === templateHash)).toBe(true);
          const counts = countBy(own, placeOf);
          const filling = places.map(
            ({ kubernetesCluster, domain }) => counts.get(`${kubernetesCluster}/${domain}`) ?? 0,
          );
          expect(Math.max(...filling) - Math.min(...filling)).toBeLessThanOrEqual(1);
        }
      }
    }),
    { numRuns },
  );
});

test('a rollout never has more cells out of service, nor more on top, than its budget, in whatever order they come up', () => {
  fc.assert(
    fc.property(groups, budgets, fc.integer({ min: 1, max: 10 }), luck, (list, rollout, replicas, coin) => {
      const world = new TinyKubernetesClusters();
      world.settle(aMega({ replicas, rollout, cellGroups: groupsOf(list, 'a') }));
      const mega = aMega({ replicas, rollout, cellGroups: groupsOf(list, 'b') });
      const derived = world.derive(mega);
      let steps = 0;
      const isDone = () => {
        const cells = world.cells(mega);
        const isNew = (cell: Cell) => cell.templateHash === derived.groups.get(cell.group)?.templateHash;
        return cells.length === replicas && cells.every(cell => isNew(cell) && cell.state === 'Ready');
      };
      while (!isDone()) {
        world.step(mega);
        const cells = world.cells(mega);
        expect(cells.length).toBeLessThanOrEqual(replicas + rollout.maxSurge);
        const ready = cells.filter(({ state }) => state === 'Ready').length;
        expect(ready).toBeGreaterThanOrEqual(replicas - rollout.maxUnavailable);
        world.ready(cells.filter(({ state }) => state === 'Starting' && coin.next().value).map(({ name }) => name));
        steps += 1;
        expect(steps).toBeLessThan(500);
      }
    }),
    { numRuns },
  );
});

test('no healthy cell is deleted while its template and the number of cells are as they were, whatever befalls others', () => {
  const mishap = fc.record({ at: fc.nat(20), what: fc.constantFrom('fail', 'lose', 'wait') });
  fc.assert(
    fc.property(groups, fc.array(mishap, { maxLength: 12 }), (list, mishaps) => {
      const mega = aMega({
        replicas: 6,
        cellGroups: groupsOf(list, 'a'),
        health: { minReadyWorkersPercent: 50, replaceBrokenAfterSeconds: 5, replaceUnreachableAfterSeconds: 5 },
      });
      const world = new TinyKubernetesClusters();
      world.settle(mega);
      for (const { at, what } of mishaps) {
        const name = [...world.objects.keys()][at % Math.max(1, world.objects.size)] ?? '';
        if (what === 'fail') world.fail(name);
        if (what === 'lose') world.objects.delete(name);
        const plan = world.step(mega);
        expect(plan.deletions.filter(({ cell }) => cell.serving)).toEqual([]);
        if (what === 'wait') world.ready();
      }
      world.settle(mega);
      expect(world.cells(mega)).toHaveLength(6);
    }),
    { numRuns },
  );
});

test('with one cell more no group has one less, and the weights are kept', () => {
  fc.assert(
    fc.property(groups, fc.nat(200), (list, replicas) => {
      const shares = (count: number) => cellShares(aMega({ replicas: count, cellGroups: groupsOf(list, 'a') }).spec);
      const [less, more] = [shares(replicas), shares(replicas + 1)];
      for (const [name, cells] of less) expect(more.get(name)).toBeGreaterThanOrEqual(cells);
      const weights = list.reduce((sum, { weight }) => sum + weight, 0);
      for (const [index, { weight }] of list.entries()) {
        const exact = (replicas * weight) / weights;
        expect(Math.abs((less.get(`g${index}`) ?? 0) - exact)).toBeLessThanOrEqual(list.length);
      }
    }),
  );
});

test('a group stays within its bounds, and what it may not have goes to the others', () => {
  const cellGroups = [aCellGroup({ name: 'few', maxReplicas: 2 }), aCellGroup({ name: 'many', minReplicas: 3 })];
  expect([...cellShares(aMega({ replicas: 10, cellGroups }).spec)]).toEqual([
    ['few', 2],
    ['many', 8],
  ]);
  expect([...cellShares(aMega({ replicas: 3, cellGroups }).spec)]).toEqual([
    ['few', 0],
    ['many', 3],
  ]);
  expect([...cellShares(aMega({ replicas: 0, cellGroups }).spec)]).toEqual([
    ['few', 0],
    ['many', 0],
  ]);
});

describe('scaling down', () => {
  test('takes cells that do no work, then the youngest of the fullest place', () => {
    const world = new TinyKubernetesClusters();
    const places = [{ kubernetesCluster: localCluster, domains: ['a', 'b'] }];
    const mega = (replicas: number) => aMega({ replicas, cellGroups: [aCellGroup({ places })] });
    world.settle(mega(3));
    const first = [...world.objects.keys()];
    world.settle(mega(5));
    world.fail(first[0] ?? '');
    const plan = world.step(mega(3));
    const gone = plan.deletions.map(({ cell }) => cell.name);
    expect(gone).toHaveLength(2);
    expect(gone[0]).toBe(first[0]);
    expect(gone).not.toContain(first[1]);
    expect(gone).not.toContain(first[2]);
  });

  test('is no matter of the budget, nor of what other groups lack', () => {
    const world = new TinyKubernetesClusters();
    const cellGroups = [aCellGroup({ name: 'a', minReplicas: 1 }), aCellGroup({ name: 'b', minReplicas: 1 })];
    world.settle(aMega({ replicas: 10, cellGroups }));
    for (const { name, group } of world.cells(aMega())) if (group === 'b') world.fail(name);
    expect(world.step(aMega({ replicas: 4, cellGroups })).deletions).toHaveLength(6);
  });
});

describe('a cell that is broken', () => {
  const health = { minReadyWorkersPercent: 50, replaceBrokenAfterSeconds: 60, replaceUnreachableAfterSeconds: 60 };

  test('is replaced after its time and not before; one that comes back in time is kept', () => {
    const world = new TinyKubernetesClusters();
    const mega = aMega({ health });
    world.settle(mega);
    const [first = '', second = ''] = world.objects.keys();
    world.fail(first);
    world.fail(second);
    expect(world.step(mega)).toMatchObject({ deletions: [], lookAgainInMs: 60_000 });
    world.nowMs += 30_000;
    world.ready([second]);
    expect(world.step(mega).deletions).toEqual([]);
    world.nowMs += 30_000;
    expect(world.step(mega).deletions).toMatchObject([{ cell: { name: first }, reason: reasons.broken }]);
    expect(world.step(mega).creations).toHaveLength(1);
  });

  test('is not one that lacks a few workers, nor one whose autoscaler asks for more than there is', () => {
    const world = new TinyKubernetesClusters();
    const mega = aMega({ health });
    world.settle(mega);
    const [first = ''] = world.objects.keys();
    world.set(first, 'ready', 10, 9);
    world.nowMs += 3_600_000;
    expect(world.step(mega).deletions).toEqual([]);
    expect(world.cells(mega)[0]?.state).toBe('Degraded');
  });

  test('waits as long as a suspension lasts', () => {
    const world = new TinyKubernetesClusters();
    world.settle(aMega({ health }));
    const mega = aMega({ health, suspend: true });
    expect(world.step(mega).updates).toHaveLength(4);
    for (const name of world.objects.keys()) world.set(name, 'suspended', 2, 0);
    world.nowMs += 3_600_000;
    expect(world.step(mega)).toMatchObject({ updates: [], deletions: [], creations: [] });
    expect(world.status(mega).conditions).toContainEqual(
      expect.objectContaining({ type: 'Suspended', status: 'True' }),
    );
  });
});

describe('several Kubernetes clusters', () => {
  const places = [{ kubernetesCluster: 'east' }, { kubernetesCluster: 'west' }];
  const health = { minReadyWorkersPercent: 50, replaceBrokenAfterSeconds: 60, replaceUnreachableAfterSeconds: 60 };
  const mega = (fields = {}) => aMega({ health, cellGroups: [aCellGroup({ places })], ...fields });
  const inPlaces = (world: TinyKubernetesClusters) =>
    countBy(world.cells(mega()), ({ place }) => place.kubernetesCluster);

  test('share the cells; of one that is silent they are made elsewhere after its time, and when it is back none is too many', () => {
    const world = new TinyKubernetesClusters(['east', 'west']);
    world.settle(mega());
    expect(inPlaces(world)).toEqual(
      new Map([
        ['east', 2],
        ['west', 2],
      ]),
    );
    world.silent.add('west');
    world.step(mega());
    world.nowMs += 30_000;
    expect(world.step(mega())).toMatchObject({ deletions: [], creations: [] });
    world.nowMs += 30_000;
    expect(world.step(mega()).creations.map(each => each.kubernetesCluster)).toEqual(['east', 'east']);
    world.ready();
    world.silent.delete('west');
    const { deletions } = world.step(mega());
    expect(deletions).toHaveLength(2);
    expect(inPlaces(world)).toEqual(
      new Map([
        ['east', 2],
        ['west', 2],
      ]),
    );
  });

  test('while one is silent a rollout stops rather than spend what is left', () => {
    const world = new TinyKubernetesClusters(['east', 'west']);
    world.settle(mega());
    world.silent.add('west');
    const next = mega({ cellGroups: [changed(aCellGroup({ places }), 'new')] });
    expect(world.step(next).deletions).toEqual([]);
  });

  test('the object is marked before the first cell is made there, and stays until the last one has gone', () => {
    const world = new TinyKubernetesClusters(['east', 'west']);
    const { finalizers, ...metadata } = mega().metadata;
    expect(world.step({ ...mega(), metadata })).toMatchObject({ finalizer: 'add', creations: [] });
    const nobodyKnows = new TinyKubernetesClusters();
    expect(nobodyKnows.step({ ...mega(), metadata })).toMatchObject({ finalizer: undefined, creations: [] });
    world.settle(mega());
    const leaving = mega();
    leaving.metadata = { ...leaving.metadata, finalizers: [megaFinalizer], deletionTimestamp: '2026-01-01T00:00:00Z' };
    world.silent.add('west');
    expect(world.step(leaving)).toMatchObject({ finalizer: undefined, deletions: [{}, {}] });
    expect(world.step(leaving)).toMatchObject({ finalizer: undefined, deletions: [] });
    world.silent.delete('west');
    expect(world.step(leaving).deletions).toHaveLength(2);
    expect(world.step(leaving).finalizer).toBe('remove');
  });
});

test('workers of a cell are changed in place, and so is what it is called; another image is another cell', () => {
  const world = new TinyKubernetesClusters();
  world.settle(aMega());
  const group = aCellGroup();
  const [workers] = group.template.spec.workerGroupSpecs ?? [];
  if (!workers) throw new Error('a group of workers');
  const more = {
    ...group.template,
    metadata: { labels: { team: 'a' } },
    spec: { ...group.template.spec, workerGroupSpecs: [{ ...workers, replicas: 7 }] },
  };
  const plan = world.step(aMega({ cellGroups: [{ ...group, template: more }] }));
  expect(plan).toMatchObject({ deletions: [], creations: [] });
  expect(plan.updates).toHaveLength(4);
  expect(world.step(aMega({ cellGroups: [{ ...group, template: more }] })).updates).toEqual([]);
});

test('a group that is given another name is taken over cell by cell', () => {
  const world = new TinyKubernetesClusters();
  world.settle(aMega());
  const renamed = aMega({ cellGroups: [aCellGroup({ name: 'b200' })] });
  const plan = world.step(renamed);
  expect(plan.deletions).toMatchObject([{ reason: reasons.retired }]);
  world.settle(renamed);
  expect(world.cells(renamed).map(({ group }) => group)).toEqual(Array(4).fill('b200'));
});

test('the pods of a cell are pinned to its domain, beside what the template asks for', () => {
  const world = new TinyKubernetesClusters();
  const places = [{ kubernetesCluster: localCluster, domains: ['zone-a'] }];
  const group = aCellGroup({ places, nodeSelector: { pool: 'h100' }, tolerations: [{ key: 'gpu' }] });
  const [creation] = world.step(aMega({ replicas: 1, cellGroups: [group] })).creations;
  const { headGroupSpec, workerGroupSpecs } = creation?.manifest.spec ?? {};
  const pinned = {
    nodeSelector: { pool: 'h100', 'topology.kubernetes.io/zone': 'zone-a' },
    tolerations: [{ key: 'gpu' }],
  };
  for (const template of [headGroupSpec?.template, workerGroupSpecs?.[0]?.template])
    expect(template?.spec).toMatchObject(pinned);
});

test('cells have names that leave room in a host name', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 63 }), fc.integer({ min: 1, max: 20 }), (cluster, group) => {
      const name = cellName('a-'.repeat(63).slice(0, cluster), 'g'.repeat(group), 'x7z2b');
      expect(name).toMatch(/^[a-z]([-a-z0-9]*[a-z0-9])?$/);
      expect(name.length).toBeLessThanOrEqual(52);
      expect(name.endsWith('-x7z2b')).toBe(true);
    }),
  );
});
