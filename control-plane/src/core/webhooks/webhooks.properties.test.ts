import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { attemptsInAll, deliveryTransitions, isWanted, nextState, pauseMs, typeOf } from './index.js';

const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('pauses', () => {
  test('grow, are never sooner than asked for, and end after three to four days', () => {
    fc.assert(
      fc.property(fc.array(chance, { minLength: attemptsInAll, maxLength: attemptsInAll }), random => {
        const all = random.map((each, index) => pauseMs(index + 1, each, null));
        expect(all.at(-1)).toBeNull();
        const days = all.reduce<number>((sum, pause) => sum + (pause ?? 0), 0) / 86_400_000;
        expect(days).toBeGreaterThan(2.5);
        expect(days).toBeLessThan(4);
        const growing = all.slice(0, -2) as number[];
        expect(growing).toEqual([...growing].sort((a, b) => a - b));
      }),
    );
  });

  test('are as long as the receiver asks, up to a day', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: attemptsInAll - 1 }),
        chance,
        fc.nat(10 ** 9),
        (attempts, random, asked) => {
          const pause = pauseMs(attempts, random, asked) as number;
          expect(pause).toBeGreaterThanOrEqual(Math.min(asked, 86_400_000));
          expect(pause).toBeGreaterThanOrEqual(pauseMs(attempts, random, null) as number);
        },
      ),
    );
  });
});

test('filters take an event by its whole kind, by its subject, or all', () => {
  const type = typeOf({ subjectKind: 'job', reason: 'JobFailed' });
  expect(type).toBe('job.JobFailed');
  for (const filter of ['*', 'job.*', 'job.JobFailed']) expect(isWanted(type, [filter])).toBe(true);
  for (const filter of ['cluster.*', 'job.JobFail', 'job.JobFailedTwice', 'job'])
    expect(isWanted(type, [filter])).toBe(false);
  expect(isWanted(type, ['cluster.*', 'job.JobFailed'])).toBe(true);
});

test('a message that was delivered or given up moves only when it is sent again, but for one that arrives late', () => {
  expect(nextState('delivered', 'missed')).toBeNull();
  expect(nextState('delivered', 'sentAgain')).toBe('pending');
  expect(nextState('failed', 'missed')).toBeNull();
  expect(Object.keys(deliveryTransitions)).toEqual(['pending', 'delivered', 'failed']);
});
