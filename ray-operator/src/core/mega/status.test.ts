import { describe, expect, test } from '@jest/globals';
import { mostCells } from '../../api/megaraycluster.js';
import { aCellGroup, aMega, startMs, TinyKubernetesClusters } from '../testing/mega-builders.js';
import { type Cell, rememberedCells } from './cells.js';
import { deriveMega } from './derived.js';
import { localCluster } from './names.js';
import { isUrgent, listedCells, megaStatusOf } from './status.js';

const text = (value: string) => value;

test('says what there is: cells, workers, GPUs, and where to reach each', () => {
  const world = new TinyKubernetesClusters();
  const places = [{ kubernetesCluster: localCluster, domains: ['a', 'b'] }];
  const mega = aMega({ cellGroups: [aCellGroup({ places })] });
  world.settle(mega);
  const [first = ''] = [...world.objects.keys()].sort();
  world.fail(first);
  const status = world.status(mega);
  expect(status).toMatchObject({
    desiredReplicas: 4,
    replicas: 4,
    readyReplicas: 3,
    updatedReplicas: 4,
    unavailableReplicas: 1,
    desiredWorkers: 8,
    desiredGPU: '64',
    readyGPU: '48',
    places: [
      { domain: 'a', cells: 2 },
      { domain: 'b', cells: 2 },
    ],
  });
  expect(status.cells?.[0]).toMatchObject({ name: first, state: 'Broken', headService: `${first}-head-svc` });
  expect(status.conditions).toMatchObject([
    { type: 'Available', status: 'True', message: '3 of 4 cells are in service' },
    { type: 'Degraded', status: 'True', reason: 'CellsBroken' },
    { type: 'Progressing', status: 'True', reason: 'WaitingForCells' },
    { type: 'SpecValid', status: 'True' },
  ]);
});

test('is done when all is as wanted', () => {
  const world = new TinyKubernetesClusters();
  const mega = aMega();
  world.settle(mega);
  const { conditions } = world.status(mega);
  expect(conditions?.filter(({ status }) => status === 'True').map(({ type }) => type)).toEqual([
    'Available',
    'SpecValid',
  ]);
  expect(conditions?.every(({ observedGeneration }) => observedGeneration === mega.metadata.generation)).toBe(true);
});

test('as many cells as there may be, with the longest names, fit into what etcd takes', () => {
  const long = (start: string, length: number) => start.padEnd(length, 'x');
  const place = { kubernetesCluster: long('c', 63), domain: long('d', 63) };
  const group = aCellGroup({
    name: long('g', 20),
    places: [{ kubernetesCluster: place.kubernetesCluster, domains: [place.domain] }],
  });
  const mega = aMega({ replicas: mostCells, cellGroups: [group] });
  const cell = (index: number): Cell => ({
    name: long(`n${index}`, 52),
    group: group.name,
    place,
    templateHash: '',
    appliedHash: '',
    createdAt: '',
    state: 'Broken',
    serving: false,
    trouble: { kind: 'broken', sinceMs: startMs },
    readyWorkers: 1_000_000,
    desiredWorkers: 1_000_000,
    message: long('m', 10_000),
    object: undefined,
  });
  const cells = Array.from({ length: mostCells }, (_, index) => cell(index));
  const none = new Set<string>();
  const observed = { cells, known: none, reachable: none, nowMs: startMs };
  const status = megaStatusOf({
    mega,
    derived: deriveMega(mega, text),
    observed,
    isBusy: true,
    failure: undefined,
    now: '',
  });
  expect(status.cells).toHaveLength(listedCells);
  expect(status.cellsOmitted).toBe(mostCells - listedCells);
  expect(JSON.stringify(status).length).toBeLessThan(600_000);
});

test('a bad spec is a condition, and the counts stay', () => {
  const world = new TinyKubernetesClusters();
  const mega = aMega();
  world.settle(mega);
  const bad = aMega({ cellGroups: [aCellGroup({ minReplicas: 5, maxReplicas: 1 })] });
  const status = world.status({ ...bad, status: world.status(mega) });
  expect(status.conditions).toContainEqual(
    expect.objectContaining({ type: 'SpecValid', status: 'False', reason: 'InvalidSpec' }),
  );
  expect(status.readyReplicas).toBe(4);
});

test('numbers alone are no reason to write at once; a condition is', () => {
  const world = new TinyKubernetesClusters();
  const mega = aMega();
  world.settle(mega);
  const before = world.status(mega);
  expect(isUrgent(before, { ...before, readyReplicas: 1 })).toBe(false);
  expect(isUrgent(before, { ...before, observedGeneration: 99 })).toBe(true);
  for (const name of world.objects.keys()) world.fail(name);
  expect(isUrgent(before, world.status({ ...mega, status: before }))).toBe(true);
});

describe('of a Kubernetes cluster that has not answered since the start', () => {
  test('the cells are those of the last status, the unnamed ones by number', () => {
    const place = { group: 'h100', kubernetesCluster: 'east', readyCells: 3, reachable: true };
    const line = { group: 'h100', state: 'Ready', updated: true, headService: '', readyWorkers: 2, desiredWorkers: 2 };
    const status = {
      places: [{ ...place, cells: 3 }],
      cells: [
        { ...line, name: 'one', kubernetesCluster: 'east', state: 'Unknown', since: '2025-12-31T00:00:00Z' },
        { ...line, name: 'other', kubernetesCluster: 'west' },
      ],
    };
    const cells = rememberedCells(status, 'east', startMs);
    expect(cells.map(({ name, state }) => [name, state])).toEqual([
      ['one', 'Unknown'],
      ['', 'Unknown'],
      ['', 'Unknown'],
    ]);
    // The nameless have been silent for as long as the others.
    expect(new Set(cells.map(({ trouble }) => trouble?.sinceMs))).toEqual(new Set([startMs - 86_400_000]));
    const mega = aMega({
      replicas: 3,
      cellGroups: [aCellGroup({ places: [{ kubernetesCluster: 'east' }, { kubernetesCluster: 'west' }] })],
    });
    expect(cells[0]?.templateHash).toBeUndefined();
    expect(deriveMega(mega, text).problems).toEqual([]);
  });
});
