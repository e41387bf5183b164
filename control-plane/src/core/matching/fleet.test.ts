import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyNode, anyNodes, anyRequest, nodeName } from './fleet/testing/arbitraries.js';
import { meets, NaiveFleet } from './fleet/testing/naive-fleet.js';
import type { FleetNode, FleetPlacement, PlacementRefusal, PlacementRequest } from './fleet/types.js';
import { Fleet } from './fleet.js';

const isPlaced = (answer: FleetPlacement | PlacementRefusal): answer is FleetPlacement => !('refused' in answer);

function fleetOf(nodes: FleetNode[]): { fleet: Fleet; naive: NaiveFleet } {
  const fleet = new Fleet();
  const naive = new NaiveFleet();
  for (const node of nodes) {
    fleet.upsert(node);
    naive.nodes.set(node.nodeId, node);
  }
  return { fleet, naive };
}

/** Nothing that greedy could place in more than one way but by score. */
const plain = (request: PlacementRequest): PlacementRequest => ({ ...request, colocate: 'any', cells: null });
const unpriced = (request: PlacementRequest): PlacementRequest => ({ ...request, maxMicroUsdPerHour: null });

/** Fails unless the placement is whole and keeps to everything that was asked, on what was free. */
function expectSound(naive: NaiveFleet, request: PlacementRequest, placement: FleetPlacement) {
  const wanted = request.groups.flatMap(group =>
    Array.from({ length: group.workers }, (_, at) => `${group.name}/${at}`),
  );
  expect(placement.workers.map(worker => `${worker.group}/${worker.ordinal}`)).toEqual(wanted);
  naive.holdings.set('sound', placement.workers);
  for (const worker of placement.workers) {
    const node = naive.nodes.get(worker.nodeId) as FleetNode;
    const group = request.groups.find(one => one.name === worker.group);
    expect(group && meets(node, request, group)).toBe(true);
    const used = naive.used(worker.nodeId);
    expect(Math.max(0, ...used.devices.values())).toBeLessThanOrEqual(10_000);
    expect(used.cpus).toBeLessThanOrEqual(node.cpus * 10_000);
    expect(used.memory).toBeLessThanOrEqual(node.memoryBytes);
    expect(worker.deviceIndices).toHaveLength(Math.ceil(group?.devices ?? -1));
  }
  naive.holdings.delete('sound');
  const price = placement.workers.reduce((total, worker) => total + worker.microUsdPerHour, 0);
  expect(placement.microUsdPerHour).toBe(price);
  expect(price).toBeLessThanOrEqual(request.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY);
  const nodes = placement.workers.map(worker => naive.nodes.get(worker.nodeId) as FleetNode);
  const keys = {
    supplier: (node: FleetNode) => node.supplierId,
    domain: (node: FleetNode) => node.domain,
    country: (node: FleetNode) => node.country,
    node: (node: FleetNode) => node.nodeId as string,
  };
  const { spread, colocate, cells } = request;
  if (spread) {
    const counts = new Map<string, number>();
    for (const node of nodes) counts.set(keys[spread.by](node), (counts.get(keys[spread.by](node)) ?? 0) + 1);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(spread.maxWorkersEach);
  }
  const keyOf = colocate === 'any' && cells ? keys.domain : colocate === 'any' ? null : keys[colocate];
  if (keyOf) {
    for (const cell of new Set(placement.workers.map(worker => worker.cell))) {
      const here = nodes.filter((_, at) => placement.workers[at]?.cell === cell);
      expect(new Set(here.map(keyOf)).size).toBe(1);
      if (cells) expect(here.length).toBeLessThanOrEqual(cells.workersEach);
    }
  }
}

describe('placement', () => {
  test('is whole, on free devices, within the ceiling, anti-affinity, colocation and cells', () => {
    fc.assert(
      fc.property(anyNodes(1, 8), anyRequest({ groups: 3, workers: 3 }), (nodes, request) => {
        const { fleet, naive } = fleetOf(nodes);
        const answer = fleet.place(request);
        if (isPlaced(answer)) expectSound(naive, request, answer);
      }),
      { numRuns: 2_000 },
    );
  });

  test('is the one that a scan of all nodes finds, worker by worker', () => {
    fc.assert(
      fc.property(anyNodes(1, 8), anyRequest({ groups: 2, workers: 4 }), (nodes, anything) => {
        const request = unpriced(plain(anything));
        const { fleet, naive } = fleetOf(nodes);
        const expected = naive.place(request);
        const answer = fleet.place(request);
        if (expected) expect(answer).toEqual(expected);
        else if (request.groups.length === 1) expect(answer).toMatchObject({ refused: 'group', certain: true });
      }),
      { numRuns: 2_000 },
    );
  });

  test('of one worker under a ceiling is the best that costs no more', () => {
    fc.assert(
      fc.property(anyNodes(1, 8), anyRequest({ groups: 1, workers: 1 }), (nodes, anything) => {
        const request = plain(anything);
        const { fleet, naive } = fleetOf(nodes);
        const answer = fleet.place(request);
        expect(isPlaced(answer) ? answer : null).toEqual(naive.place(request));
      }),
      { numRuns: 1_000 },
    );
  });

  test('is that of a scan also where zones are full and split', () => {
    fc.assert(
      fc.property(anyNodes(150, 400), anyRequest({ groups: 1, workers: 6 }), (nodes, anything) => {
        const request = unpriced(plain(anything));
        const { fleet, naive } = fleetOf(nodes);
        const answer = fleet.place(request);
        expect(isPlaced(answer) ? answer : null).toEqual(naive.place(request));
      }),
      { numRuns: 60 },
    );
  });

  test('is that of a scan also after thousands of nodes of one model have come, changed and gone', () => {
    const changing = fc.record({
      price: fc.integer({ min: 500_000, max: 900_000 }),
      reputation: fc.nat(1_000),
      load: fc.nat(1_000),
      present: fc.boolean(),
    });
    fc.assert(
      fc.property(
        anyNode(0),
        fc.infiniteStream(changing),
        fc.array(anyRequest({ groups: 1, workers: 3 }), { minLength: 5, maxLength: 5 }),
        (first, stream, requests) => {
          const { fleet, naive } = fleetOf([]);
          for (let step = 0; step < 3_000; step++) {
            const number = (step * 7) % 1_000;
            const { price, reputation, load, present } = stream.next().value as NonNullable<
              ReturnType<typeof stream.next>['value']
            >;
            const node: FleetNode = {
              ...first,
              nodeId: nodeName(number),
              microUsdPerGpuHour: price,
              reputation: reputation / 1_000,
              load: load / 1_000,
            };
            if (step < 1_000 || present) {
              fleet.upsert(node);
              naive.nodes.set(node.nodeId, node);
            } else {
              fleet.remove(node.nodeId);
              naive.nodes.delete(node.nodeId);
            }
          }
          for (const asked of requests) {
            const request = unpriced(plain(asked));
            const answer = fleet.place(request);
            expect(isPlaced(answer) ? answer : null).toEqual(naive.place(request));
          }
        },
      ),
      { numRuns: 12 },
    );
  });

  test('does not depend on the order in which the nodes came, and asking changes nothing', () => {
    fc.assert(
      fc.property(anyNodes(1, 90), anyRequest({ groups: 2, workers: 4 }), (nodes, request) => {
        const { fleet } = fleetOf(nodes);
        const answer = fleet.place(request);
        expect(fleet.place(request)).toEqual(answer);
        expect(fleetOf([...nodes].reverse()).fleet.place(request)).toEqual(answer);
      }),
      { numRuns: 300 },
    );
  });

  test('is refused for certain only where none is possible', () => {
    let certain = 0;
    fc.assert(
      fc.property(anyNodes(1, 3), anyRequest({ groups: 2, workers: 2 }), (nodes, anything) => {
        const request = { ...anything, cells: null };
        const { fleet, naive } = fleetOf(nodes);
        const answer = fleet.place(request);
        if (isPlaced(answer)) return;
        // So few workers on so few nodes: every way can be tried, so no refusal is a guess.
        expect(answer.certain).toBe(true);
        certain += 1;
        expect(naive.isPossible(request)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
    expect(certain).toBeGreaterThan(100);
  });
});

describe('holding', () => {
  const anyStep = fc.oneof(
    {
      weight: 2,
      arbitrary: fc.nat(5).chain(number => fc.record({ do: fc.constant('upsert' as const), node: anyNode(number) })),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), number: fc.nat(5) }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constantFrom('take' as const, 'reserve' as const, 'retake' as const),
        holder: fc.constantFrom('h1', 'h2', 'h3', 'h4'),
        request: anyRequest({ groups: 2, workers: 2 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('release' as const), holder: fc.constantFrom('h1', 'h2', 'h3', 'h4') }),
    },
  );

  test('never gives a device twice, whatever comes and goes, and what is free stays what a scan finds', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), anyRequest({ groups: 1, workers: 3 }), (steps, probe) => {
        const { fleet, naive } = fleetOf([]);
        let last: FleetPlacement | null = null;
        for (const step of steps) {
          if (step.do === 'upsert') {
            fleet.upsert(step.node);
            naive.nodes.set(step.node.nodeId, step.node);
          } else if (step.do === 'remove') {
            fleet.remove(nodeName(step.number));
            naive.nodes.delete(nodeName(step.number));
          } else if (step.do === 'release') {
            fleet.release(step.holder);
            naive.holdings.delete(step.holder);
          } else if (step.do === 'take') {
            const answer = fleet.place(step.request);
            if (!isPlaced(answer)) continue;
            expectSound(naive, step.request, answer);
            fleet.take(step.holder, answer);
            const held = naive.holdings.get(step.holder) ?? [];
            naive.holdings.set(step.holder, [...held, ...answer.workers]);
            last = answer;
          } else if (last?.workers.some(worker => worker.deviceIndices.length > 0 && worker.share === 1)) {
            // What was placed last is held by somebody, or its node has gone, or it was released.
            const isHeld = last.workers.some(worker => {
              const used = naive.used(worker.nodeId).devices;
              return worker.share === 1 && worker.deviceIndices.some(index => (used.get(index) ?? 0) > 0);
            });
            if (isHeld && step.do === 'retake')
              expect(() => fleet.take('thief', last as FleetPlacement)).toThrow(/cannot have/);
            if (step.do === 'reserve') {
              // Taken and given back: nothing may be left of it.
              fleet.reserve('reserver', last);
              fleet.release('reserver');
            }
          }
        }
        const request = unpriced(plain(probe));
        const answer = fleet.place(request);
        expect(isPlaced(answer) ? answer : null).toEqual(naive.place(request));
      }),
      { numRuns: 1_500 },
    );
  });
});
