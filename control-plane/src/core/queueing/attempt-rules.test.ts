import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type AttemptView,
  defaultRetryTerms,
  isFenced,
  leaseEndsMs,
  nextAttempt,
  type Sighting,
  see,
  sightingRules,
  unseen,
} from './attempt-rules.js';

const doubtful = ['slow', 'timedOut', 'refused', 'unreachable'] as const;

/** The verdict on the last of these. */
function after(sightings: readonly Sighting[]) {
  let view: AttemptView = unseen;
  let verdict: ReturnType<typeof see>['verdict'] = { kind: 'carryOn' };
  for (const sighting of sightings) ({ view, verdict } = see(view, sighting));
  return verdict;
}

describe('an attempt', () => {
  test('is never ended by probes that fail, however many', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...doubtful, 'ok' as const), { maxLength: 500 }), sightings => {
        expect(after(sightings)).toEqual({ kind: 'carryOn' });
      }),
    );
    expect(after(Array.from({ length: 10_000 }, () => 'timedOut' as const))).toEqual({ kind: 'carryOn' });
  });

  test('is forgotten by its head only when the head says so three times in a row', () => {
    expect(after(['unknownJob', 'unknownJob', 'ok', 'unknownJob', 'unknownJob'])).toEqual({ kind: 'carryOn' });
    expect(after(['unknownJob', 'unknownJob', 'unknownJob'])).toMatchObject({ kind: 'end', cause: 'jobForgotten' });
  });

  test('on a machine that went silent is fenced before it ends', () => {
    expect(after(['unreachable', 'leaseOver'])).toMatchObject({ kind: 'fenceThenEnd', cause: 'machineLost' });
  });

  test.each(['succeeded', 'failedByUser', 'stopped', 'headExited'] as const)('is ended by proof: %s', sighting => {
    expect(after(['timedOut', sighting])).toEqual({ kind: 'end', ...sightingRules[sighting].ends });
  });

  test('is heard only under the number of the live one', () => {
    expect([isFenced(2, 2), isFenced(1, 2), isFenced(1, null)]).toEqual([false, true, true]);
  });
});

test('silence does not count while the control plane itself was down', () => {
  expect(leaseEndsMs(1_000, 0, 60_000)).toBe(61_000);
  expect(leaseEndsMs(1_000, 500_000, 60_000)).toBe(560_000);
});

describe('the next attempt', () => {
  const lost = { outcome: 'lost', cause: 'machineLost' } as const;

  test("never follows the user's own error, whatever the policy", () => {
    const failed = { outcome: 'failed', cause: null } as const;
    expect(nextAttempt(failed, 0, { ...defaultRetryTerms, maxAttempts: 99 }, 0)).toEqual({
      again: false,
      why: 'ended',
    });
  });

  test('comes later each time, up to a limit', () => {
    const terms = { ...defaultRetryTerms, maxAttempts: 20, maxBackoffMs: 10_000 };
    const waits = [1, 2, 3, 4, 5].map(failures => {
      const next = nextAttempt(lost, failures, terms, 1_000);
      return next.again ? next.notBeforeMs - 1_000 : null;
    });
    expect(waits).toEqual([2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  test('does not come when there were enough, or when the job does not want it after such a loss', () => {
    expect(nextAttempt(lost, 3, defaultRetryTerms, 0)).toEqual({ again: false, why: 'exhausted' });
    expect(nextAttempt(lost, 1, { ...defaultRetryTerms, retryOn: ['headLost'] }, 0)).toEqual({
      again: false,
      why: 'cause',
    });
  });

  test('after preemption counts against no limit and waits for nothing', () => {
    const preempted = { outcome: 'lost', cause: 'preempted' } as const;
    expect(nextAttempt(preempted, 3, defaultRetryTerms, 5)).toEqual({ again: true, notBeforeMs: 5 });
  });
});
