import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Evidence, halfLifeMs, reputation, type Standing, unknown, withEvidence } from './reputation.js';

const evidence: fc.Arbitrary<Evidence> = fc.oneof(
  fc.constantFrom<Evidence>({ kind: 'attemptSucceeded' }, { kind: 'attemptInterrupted' }, { kind: 'drained' }),
  fc.record({ kind: fc.constant('rated' as const), stars: fc.integer({ min: 1, max: 5 }) }),
);
const history = fc
  .array(fc.tuple(evidence, fc.integer({ min: 0, max: 3 * halfLifeMs })), { maxLength: 30 })
  .map(steps => steps.reduce(after, { standing: unknown, nowMs: 1 }));

function after({ standing, nowMs }: { standing: Standing; nowMs: number }, [next, laterMs]: [Evidence, number]) {
  return { standing: withEvidence(standing, next, nowMs + laterMs), nowMs: nowMs + laterMs };
}

describe('reputation', () => {
  test('lies between 0 and 1, whatever happened', () => {
    fc.assert(
      fc.property(history, ({ standing, nowMs }) => {
        expect(reputation(standing, nowMs)).toBeGreaterThan(0);
        expect(reputation(standing, nowMs)).toBeLessThan(1);
      }),
    );
  });

  test('rises with a success and five stars, falls with an interruption, a drain and one star', () => {
    fc.assert(
      fc.property(history, ({ standing, nowMs }) => {
        const before = reputation(standing, nowMs);
        const then = (next: Evidence) => reputation(withEvidence(standing, next, nowMs), nowMs);
        expect(then({ kind: 'attemptSucceeded' })).toBeGreaterThan(before);
        expect(then({ kind: 'rated', stars: 5 })).toBeGreaterThan(before);
        expect(then({ kind: 'attemptInterrupted' })).toBeLessThan(before);
        expect(then({ kind: 'drained' })).toBeLessThan(before);
        expect(then({ kind: 'rated', stars: 1 })).toBeLessThan(before);
      }),
    );
  });

  test('is the same whether evidence is told one by one or summed up by its age', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 * halfLifeMs }), { minLength: 1, maxLength: 20 }), times => {
        const ordered = [...times].sort((a, b) => a - b);
        const nowMs = 3 * halfLifeMs;
        const told = ordered.reduce(
          (standing, at) => withEvidence(standing, { kind: 'attemptSucceeded' }, at),
          unknown,
        );
        const good = ordered.reduce((sum, at) => sum + 0.5 ** ((nowMs - at) / halfLifeMs), 0);
        expect(reputation(told, nowMs)).toBeCloseTo((4 + good) / (5 + good), 9);
      }),
    );
  });

  test('of who is not heard of any more returns to that of a stranger', () => {
    fc.assert(
      fc.property(history, ({ standing, nowMs }) => {
        const stranger = reputation(unknown, nowMs);
        const gap = (at: number) => Math.abs(reputation(standing, at) - stranger);
        expect(gap(nowMs + halfLifeMs)).toBeLessThanOrEqual(gap(nowMs) + 1e-12);
        expect(gap(nowMs + 60 * halfLifeMs)).toBeCloseTo(0, 9);
      }),
    );
  });

  test('has an example: twenty successes and one interruption today make 0.83, and the interruption alone 0.44', () => {
    let standing = withEvidence(unknown, { kind: 'attemptInterrupted' }, 0);
    expect(reputation(standing, 0)).toBeCloseTo(4 / 9, 9);
    for (let count = 0; count < 20; count += 1) standing = withEvidence(standing, { kind: 'attemptSucceeded' }, 0);
    expect(reputation(standing, 0)).toBeCloseTo(24 / 29, 9);
  });
});
