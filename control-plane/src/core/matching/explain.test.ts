import type { NodeId, TenantId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyNodes, anyRequest, GiB } from './fleet/testing/arbitraries.js';
import { NaiveFleet } from './fleet/testing/naive-fleet.js';
import type { FleetNode, PlacementRequest } from './fleet/types.js';
import { Fleet } from './fleet.js';
import { evenWeights } from './score.js';

const node = (id: string, more: Partial<FleetNode> = {}): FleetNode => ({
  nodeId: id as NodeId,
  ownerId: 't_owner' as TenantId,
  shared: true,
  supplierId: 's',
  domain: 'd',
  country: 'FR',
  region: '',
  latitudeDeg: null,
  longitudeDeg: null,
  cpus: 16,
  memoryBytes: 64 * GiB,
  pools: [{ model: 'a100-80-sxm', count: 4, indices: [0, 1, 2, 3], simulated: true }],
  interconnect: 'nvlink',
  network: 'ethernet',
  connectivity: 'high',
  compliance: ['soc2'],
  rayVersions: ['2.60.0'],
  microUsdPerGpuHour: 1_000_000,
  microUsdPerCpuHour: 0,
  reputation: 1,
  stake: 1,
  load: 0,
  schedulable: true,
  ...more,
});

const request = (more: Partial<PlacementRequest> = {}): PlacementRequest => ({
  tenantId: 't_renter' as TenantId,
  groups: [{ name: 'w', workers: 1, cpus: 1, memoryBytes: GiB, devices: 1, accelerator: { models: ['a100-80-sxm'] } }],
  where: {},
  compliance: [],
  minConnectivity: null,
  rayVersion: null,
  maxMicroUsdPerHour: null,
  colocate: 'any',
  spread: null,
  cells: null,
  pack: 'pack',
  weights: evenWeights,
  ...more,
});

const fleetOf = (nodes: FleetNode[]): Fleet => {
  const fleet = new Fleet();
  for (const one of nodes) fleet.upsert(one);
  return fleet;
};

describe('explaining', () => {
  test('counts constraint by constraint, and says what giving one up would bring', () => {
    const fleet = fleetOf([
      node('a'),
      node('b', { microUsdPerGpuHour: 700_000 }),
      node('c', { country: 'DE', compliance: [], microUsdPerGpuHour: 900_000 }),
      node('d', { country: 'DE', pools: [] }),
    ]);
    const answer = fleet.explain(request({ where: { countries: ['DE'] }, compliance: ['soc2'] }));
    expect(answer).toMatchObject({ satisfiable: false, refusal: { refused: 'group', group: 'w', certain: true } });
    expect(answer.summary).toBe('3 of 4 machines have a100-80-sxm, 1 of them are in DE, 0 of them have soc2');
    expect(answer.groups[0]?.constraints.filter(one => ['country', 'compliance'].includes(one.constraint))).toEqual([
      { constraint: 'country', asked: 'are in DE', alone: 2, left: 1 },
      { constraint: 'compliance', asked: 'have soc2', alone: 3, left: 0 },
    ]);
    expect(answer.alternatives).toEqual([
      { change: 'any country and region', constraint: 'country', nodes: 2, microUsdPerHour: 700_000 },
      { change: 'without soc2', constraint: 'compliance', nodes: 1, microUsdPerHour: 900_000 },
    ]);
  });

  test('where giving one up helps nothing, names as few as will do together', () => {
    const fleet = fleetOf([node('a'), node('b', { compliance: [], microUsdPerGpuHour: 700_000 })]);
    const wish = { where: { countries: ['DE'] }, compliance: ['hipaa'], maxMicroUsdPerHour: 9_000_000 };
    expect(fleet.explain(request(wish)).alternatives).toEqual([
      {
        change: 'any country and region, and without hipaa',
        constraint: 'country',
        nodes: 2,
        microUsdPerHour: 700_000,
      },
    ]);
    expect(fleetOf([]).explain(request(wish)).alternatives).toEqual([]);
  });

  test('shows candidates with the parts of their scores, the best first', () => {
    const fleet = fleetOf([node('a', { reputation: 0.5 }), node('b')]);
    const answer = fleet.explain(request());
    expect(answer).toMatchObject({ satisfiable: true, alternatives: [] });
    expect(answer.candidates.map(candidate => candidate.nodeId)).toEqual(['b', 'a']);
    const { parts, score } = answer.candidates[0] as (typeof answer.candidates)[0];
    expect(parts).toEqual({ price: 0.5, speed: 0.5, place: 1, reputation: 1, stake: 1, load: 1, fit: 0.25 });
    expect(score).toBeCloseTo((0.5 + 0.5 + 1 + 1 + 1 + 1 + 2 * 0.25) / 8, 12);
    expect(answer.placement?.score).toBe(score);
  });

  test('what is held is not counted as free, and somebody else’s own nodes are not counted at all', () => {
    const fleet = fleetOf([node('a'), node('b', { shared: false })]);
    const whole = request({ groups: [{ ...(request().groups[0] as never as object), devices: 4 } as never] });
    const placement = fleet.place(whole);
    if ('refused' in placement) throw new Error('It must fit');
    fleet.take('somebody', placement);
    expect(fleet.explain(whole).summary).toBe('0 of 1 machines have as much free now');
    fleet.release('somebody');
    expect(fleet.explain(whole).satisfiable).toBe(true);
  });

  test('agrees with the decision, its counts with a scan, and every alternative can be had', () => {
    let refused = 0;
    fc.assert(
      fc.property(anyNodes(1, 8), anyRequest({ groups: 2, workers: 3 }), (nodes, asked) => {
        const fleet = fleetOf(nodes);
        const naive = new NaiveFleet();
        for (const one of nodes) naive.nodes.set(one.nodeId, one);
        const answer = fleet.place(asked);
        const told = fleet.explain(asked);
        expect(told.satisfiable).toBe(!('refused' in answer));
        expect(told.placement ?? told.refusal).toEqual(answer);
        const free = { ...asked, spread: null };
        for (const [at, group] of asked.groups.entries()) {
          const fitting = new Set(naive.choices(free, group).map(choice => choice.node.nodeId));
          expect(told.groups[at]?.fitting).toBe(fitting.size);
          expect(fitting.size === 0 ? told.satisfiable : false).toBe(false);
        }
        for (const alternative of told.alternatives) expect(alternative.nodes).toBeGreaterThan(0);
        if (!told.satisfiable) refused += 1;
      }),
      { numRuns: 1_000 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});
