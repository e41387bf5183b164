import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type ArrayPhase,
  arrayInWords,
  arrayTransitions,
  countsOf,
  emptyTally,
  endedOf,
  eventOf,
  mayGo,
  type Tally,
} from './index.js';

type IndexState = keyof Tally;
const states = Object.keys(emptyTally) as IndexState[];
const tallyOf = (indices: readonly IndexState[]): Tally => {
  const tally = { ...emptyTally };
  for (const state of indices) tally[state] += 1;
  return tally;
};
const indices = fc.array(fc.constantFrom(...states), { minLength: 1, maxLength: 40 });
const livePhases = ['queued', 'running', 'stopping'] as const;
const ended: IndexState[] = ['succeeded', 'failed', 'stopped'];
const after = (phase: ArrayPhase, all: readonly IndexState[]): ArrayPhase => {
  const event = eventOf(phase, tallyOf(all), all.length);
  return event === null ? phase : (arrayTransitions[phase][event] ?? phase);
};

describe('an array', () => {
  test('ends when all its indices have ended, and no sooner', () => {
    fc.assert(
      fc.property(indices, fc.constantFrom(...livePhases), (all, phase) => {
        const isOver = all.every(state => ended.includes(state));
        expect(['succeeded', 'failed', 'stopped'].includes(after(phase, all))).toBe(isOver);
      }),
    );
  });

  test('succeeds exactly when every index has succeeded, asked to stop or not', () => {
    fc.assert(
      fc.property(indices, fc.constantFrom(...livePhases), (all, phase) => {
        expect(after(phase, all) === 'succeeded').toBe(all.every(state => state === 'succeeded'));
      }),
    );
  });

  test('fails with an index that failed, and is stopped by its owner whatever failed before', () => {
    expect(after('running', ['succeeded', 'failed', 'stopped'])).toBe('failed');
    expect(after('running', ['succeeded', 'stopped'])).toBe('stopped');
    expect(after('stopping', ['succeeded', 'failed', 'stopped'])).toBe('stopped');
  });

  test('has begun once an index runs, and does not go back when it waits again', () => {
    expect(after('queued', ['held', 'queued', 'assigned'])).toBe('queued');
    expect(after('queued', ['running', 'queued'])).toBe('running');
    expect(after('running', ['queued', 'queued'])).toBe('running');
  });

  test('that has ended stays so', () => {
    fc.assert(
      fc.property(indices, fc.constantFrom('succeeded', 'failed', 'stopped'), (all, phase) => {
        expect(eventOf(phase as ArrayPhase, tallyOf(all), all.length)).toBeNull();
      }),
    );
  });

  test('never has more going than it may, and leaves none waiting for nothing', () => {
    fc.assert(
      fc.property(
        indices,
        fc.constantFrom(...livePhases),
        fc.option(fc.integer({ min: 1, max: 20 })),
        (all, phase, most) => {
          const tally = tallyOf(all);
          const goes = mayGo(phase, tally, most);
          const going = tally.queued + tally.assigned + tally.running + tally.stopping;
          expect(goes).toBeLessThanOrEqual(tally.held);
          if (phase === 'stopping') expect(goes).toBe(0);
          else if (most === null) expect(goes).toBe(tally.held);
          else expect(going + goes).toBe(Math.max(going, Math.min(most, going + tally.held)));
        },
      ),
    );
  });

  test('is told in counts that add up', () => {
    fc.assert(
      fc.property(indices, all => {
        const tally = tallyOf(all);
        const counts = countsOf(tally);
        expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(all.length);
        expect(counts.succeeded + counts.failed + counts.stopped).toBe(endedOf(tally));
      }),
    );
    expect(arrayInWords(tallyOf(['succeeded', 'succeeded', 'assigned', 'held']), 4)).toBe(
      'Array of 4: 1 running, 2 succeeded, 1 waiting.',
    );
  });
});
