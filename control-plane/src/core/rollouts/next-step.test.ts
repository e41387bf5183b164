import type { NodeId, RolloutNodeState, RolloutTerms } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type FleetNode, nextStep } from './index.js';

const terms: RolloutTerms = { canaries: 1, batchPercent: 25, maxFailedPercent: 10, healthySeconds: 60 };
const node = (number: number, state: RolloutNodeState | null = null, more: Partial<FleetNode> = {}): FleetNode => ({
  nodeId: `nd_${String(number).padStart(4, '0')}` as NodeId,
  state,
  ready: state === null,
  switchingSeconds: null,
  tryingSeconds: 0,
  ...more,
});
const fleetOf = (size: number) => Array.from({ length: size }, (_, number) => node(number));

describe('a roll-out', () => {
  test('begins with its canaries, doubles with trust, and never exceeds its share of the fleet', () => {
    const fleet = fleetOf(100);
    const sizes: number[] = [];
    for (;;) {
      const { begin } = nextStep(terms, fleet, fleet.length);
      if (begin.length === 0) break;
      sizes.push(begin.length);
      for (const one of fleet) if (begin.includes(one.nodeId)) one.state = 'healthy';
    }
    expect(sizes).toEqual([1, 1, 2, 4, 8, 16, 25, 25, 18]);
  });

  test('waits for every machine of a wave', () => {
    const fleet = [node(1, 'healthy'), node(2, 'trying', { switchingSeconds: 10 }), node(3)];
    expect(nextStep(terms, fleet, 3)).toEqual({ failed: [], halt: null, begin: [] });
  });

  test('stops by itself at a canary that failed, and at one that does not come back', () => {
    expect(nextStep(terms, [node(1, 'failed'), node(2)], 2)).toMatchObject({
      halt: '1 of 1 machines failed, and no more than 10 % may',
      begin: [],
    });
    const lost = nextStep(terms, [node(1, 'trying', { switchingSeconds: 121 }), node(2)], 2);
    expect(lost.failed).toEqual([
      { nodeId: node(1).nodeId, reason: expect.stringContaining('has not come back within 120 s') },
    ]);
    expect(lost.halt).not.toBeNull();
  });

  test('gives up a machine that cannot be reached, once it has been tried for long', () => {
    const step = (tryingSeconds: number) => nextStep(terms, [node(1, 'trying', { tryingSeconds })], 1).failed.length;
    expect([step(599), step(601)]).toEqual([0, 1]);
  });

  test('lets a machine pass that is away, held, or there already', () => {
    expect(nextStep(terms, [node(1, null, { ready: false }), node(2)], 2).begin).toEqual([node(2).nodeId]);
  });
});

/** Machines with fates of their own, under terms of any kind, until nothing is left to do. */
test('whatever befalls the machines, no more fail than the terms and one wave allow, and a fleet that is well comes through', () => {
  const arbitraryTerms = fc.record({
    canaries: fc.integer({ min: 1, max: 5 }),
    batchPercent: fc.integer({ min: 1, max: 100 }),
    maxFailedPercent: fc.integer({ min: 0, max: 100 }),
    healthySeconds: fc.constant(60),
  });
  const fates = fc.array(
    fc.constantFrom('well', 'bad', 'lost', 'away') as fc.Arbitrary<'well' | 'bad' | 'lost' | 'away'>,
    { minLength: 1, maxLength: 60 },
  );
  fc.assert(
    fc.property(arbitraryTerms, fates, (some, fateOf) => {
      const fleet = fateOf.map((fate, number) => node(number, null, { ready: fate !== 'away' }));
      const most = Math.max(1, Math.ceil((fleet.length * some.batchPercent) / 100));
      let halted = false;
      for (let steps = 0; steps < 3 * fleet.length + 3 && !halted; steps += 1) {
        const next = nextStep(some, fleet, fleet.length);
        const settle = (nodeId: NodeId, state: RolloutNodeState) =>
          Object.assign(fleet.find(one => one.nodeId === nodeId) ?? {}, { state });
        for (const { nodeId } of next.failed) settle(nodeId, 'failed');
        halted = next.halt !== null;
        if (halted) expect(next.begin).toEqual([]);
        expect(next.begin.length).toBeLessThanOrEqual(most);
        const tried = fleet.filter(({ state }) => state === 'healthy' || state === 'failed').length;
        const bad = fleet.filter(({ state }) => state === 'failed').length;
        // No machine is begun on while more have failed than may.
        if (next.begin.length > 0) expect(bad * 100).toBeLessThanOrEqual(some.maxFailedPercent * tried);
        for (const nodeId of next.begin) {
          const fate = fateOf[fleet.findIndex(one => one.nodeId === nodeId)];
          expect(fate).not.toBe('away');
          if (fate === 'well') settle(nodeId, 'healthy');
          else if (fate === 'bad') settle(nodeId, 'failed');
          else
            Object.assign(fleet.find(one => one.nodeId === nodeId) ?? {}, { state: 'trying', switchingSeconds: 1_000 });
        }
      }
      const left = fleet.filter(({ state, ready }) => state === null && ready).length;
      if (!halted) expect([left, fleet.some(({ state }) => state === 'trying')]).toEqual([0, false]);
      if (fateOf.every(fate => fate === 'well')) expect(halted).toBe(false);
    }),
    { numRuns: 500 },
  );
});
