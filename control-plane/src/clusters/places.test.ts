import { clusterSpec, type LeaseId, type LeasePhase } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Retries } from './facts.js';
import { placesOf, type Standing } from './places.js';

const spec = (count: number) => clusterSpec.parse({ name: 'x', workerGroups: [{ name: 'w', cpus: 1, count }] });
const stands = (ordinal: number, more: Partial<Standing> = {}): Standing => ({
  id: `l${ordinal}` as LeaseId,
  group: 'w',
  ordinal,
  phase: 'ready',
  desired: true,
  ...more,
});
const ordinals = (count: number, leases: Standing[] = [], idle: string[] = [], retries: Retries = {}) =>
  placesOf(spec(count), { leases, retries, idle: new Set(idle as LeaseId[]) })
    .slice(1)
    .map(place => place.ordinal);

describe('the places of a group', () => {
  test('are the first ordinals where nothing stands', () => {
    expect(ordinals(3)).toEqual([0, 1, 2]);
  });

  test('stay where its workers are, whichever have gone', () => {
    expect(ordinals(2, [stands(0, { desired: false }), stands(1), stands(2)])).toEqual([1, 2]);
    expect(ordinals(3, [stands(1), stands(2)])).toEqual([0, 1, 2]);
  });

  test('that are too many: what is idle goes before what is busy, what is starting before both, what ended first', () => {
    const leases = [stands(0), stands(1), stands(2, { phase: 'starting' }), stands(3, { phase: 'exited' })];
    expect(ordinals(3, leases, ['l0'])).toEqual([0, 1, 2]);
    expect(ordinals(2, leases, ['l0'])).toEqual([0, 1]);
    expect(ordinals(1, leases, ['l0'])).toEqual([1]);
    expect(ordinals(1, leases)).toEqual([0]);
  });

  test('that failed are kept, so that their next start waits', () => {
    const retries = { 'w/2': { failures: 3, retryAt: '2026-01-01T00:00:00.000Z' } };
    expect(ordinals(2, [stands(1)], [], retries)).toEqual([1, 2]);
  });

  test('are always as many as are wanted, each once', () => {
    const phases = fc.constantFrom<LeasePhase>('pending', 'starting', 'ready', 'exited', 'lost');
    const anyLeases = fc.uniqueArray(fc.tuple(fc.nat({ max: 12 }), phases, fc.boolean()), {
      selector: ([ordinal]) => ordinal,
    });
    fc.assert(
      fc.property(fc.nat({ max: 12 }), anyLeases, (count, all) => {
        const found = ordinals(
          count,
          all.map(([ordinal, phase, desired]) => stands(ordinal, { phase, desired })),
        );
        expect(found).toHaveLength(count);
        expect(new Set(found).size).toBe(count);
      }),
    );
  });
});
