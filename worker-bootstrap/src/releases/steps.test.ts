import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { InstallState, Release } from './state.js';
import { gaveUp, mostStarts, needed, objection, onTrial, settled, startOf } from './steps.js';

const release = (serial: number, more: Partial<Release> = {}): Release => ({
  name: `1.0.${serial}-x`,
  version: `1.0.${serial}`,
  serial,
  floor: 0,
  sha256: `sha-${serial}`,
  ...more,
});
const first: InstallState = {
  key: 'key',
  highestSerial: 10,
  floor: 0,
  current: release(10),
  previous: null,
  trial: null,
  failed: null,
};
const trialOf = (serial: number) => ({
  release: release(serial),
  attempt: `try-${serial}`,
  healthySeconds: 60,
  leases: [],
});

describe('a trial', () => {
  test('is counted before the release runs, and over after three starts', () => {
    let state = onTrial(first, trialOf(20), 'key');
    for (let starts = 1; starts <= mostStarts; starts += 1) {
      const start = startOf(state);
      expect([start.release.serial, start.state.trial?.starts]).toEqual([20, starts]);
      state = start.state;
    }
    const back = startOf(state);
    expect(back).toMatchObject({ release: { serial: 10 }, trial: null, state: { failed: { attempt: 'try-20' } } });
    expect(back.state.highestSerial).toBe(10);
  });

  test('that is settled twice, or given up twice, is what it was', () => {
    const state = onTrial(first, trialOf(20), 'key');
    expect(settled(settled(state))).toEqual(settled(state));
    expect(gaveUp(gaveUp(state, 'why'), 'again')).toEqual(gaveUp(state, 'why'));
    expect(gaveUp(settled(state), 'too late')).toEqual(settled(state));
  });
});

type Happening = { kind: 'offer'; serial: number; floor: number } | { kind: 'start' | 'settle' | 'giveUp' };

/** Everything that an attacker with the control plane, the machine's luck and its owner may do, in any order. */
test('whatever is offered and however starts end, a machine runs something that was allowed, and its bounds only rise', () => {
  const happening: fc.Arbitrary<Happening> = fc.oneof(
    fc.record({
      kind: fc.constant('offer' as const),
      serial: fc.integer({ min: 1, max: 30 }),
      floor: fc.integer({ min: 0, max: 30 }),
    }),
    fc.record({ kind: fc.constantFrom('start' as const, 'settle' as const, 'giveUp' as const) }),
  );
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), happenings => {
      let state = first;
      for (const one of happenings) {
        const before = state;
        if (one.kind === 'offer') {
          const offered = release(one.serial, { floor: one.floor });
          if (state.trial === null && offered.sha256 !== state.current.sha256 && objection(state, offered) === null) {
            const back = state.previous?.sha256 === offered.sha256;
            expect(back || offered.serial > state.highestSerial).toBe(true);
            expect(offered.serial).toBeGreaterThanOrEqual(state.floor);
            state = onTrial(state, { ...trialOf(one.serial), release: offered }, 'key');
          }
        } else if (one.kind === 'start') state = startOf(state).state;
        else if (one.kind === 'settle') state = settled(state);
        else state = gaveUp(state, 'it hung');
        expect(state.highestSerial).toBeGreaterThanOrEqual(before.highestSerial);
        expect(state.floor).toBeGreaterThanOrEqual(before.floor);
        expect(state.current.serial).toBeGreaterThanOrEqual(state.floor);
        expect(state.trial?.starts ?? 0).toBeLessThanOrEqual(mostStarts);
        // What is to run next is never pruned, and no more than three releases lie there.
        expect(needed(state).has(startOf(state).release.name)).toBe(true);
        expect(needed(state).size).toBeLessThanOrEqual(3);
      }
    }),
    { numRuns: 500 },
  );
});
