import { connectivityTiers, type Measurement } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { bestOf, connectivityOf } from './connectivity.js';

const sample = (downloadMbps: number, uploadMbps = downloadMbps, roundTripMs = 5): Measurement => {
  return { downloadMbps, uploadMbps, roundTripMs, at: '2026-11-26T12:00:00.000Z' };
};
/** As often as is asked for. */
const measured = (...rates: Parameters<typeof sample>) => [sample(...rates), sample(...rates), sample(...rates)];
const rank = (tier: (typeof connectivityTiers)[number]) => connectivityTiers.indexOf(tier);

describe('the tier that placement goes by', () => {
  test('is the stated one, or the lowest, while nothing is measured', () => {
    expect(connectivityOf('ultra', [])).toBe('ultra');
    expect(connectivityOf(null, [])).toBe('low');
  });

  test('is the measured one where none is stated, by the slower direction', () => {
    expect(connectivityOf(null, [sample(940)])).toBe('high');
    expect(connectivityOf(null, measured(940, 94))).toBe('medium');
    expect(connectivityOf(null, measured(3))).toBe('low');
  });

  test('is the stated one where a measurement could not have shown better', () => {
    expect(connectivityOf('ultra', measured(400))).toBe('ultra');
    expect(connectivityOf('high', measured(160))).toBe('high');
    // Half across the world a few megabytes are over before the rate has grown.
    expect(connectivityOf('high', measured(16, 16, 200))).toBe('high');
    expect(connectivityOf('medium', measured(60))).toBe('medium');
  });

  test('is lower than what is stated where the measurement is far below it', () => {
    expect(connectivityOf('ultra', measured(20))).toBe('low');
    expect(connectivityOf('high', measured(90, 90))).toBe('medium');
    expect(connectivityOf('medium', measured(400, 8))).toBe('low');
  });

  test('is the stated one until enough measurements have said the same', () => {
    expect(connectivityOf('high', [sample(3), sample(3)])).toBe('high');
    expect(connectivityOf('high', [sample(3), sample(3), sample(700)])).toBe('high');
    expect(connectivityOf('high', [sample(3), sample(3), sample(3)])).toBe('low');
  });

  test('is never above what is stated, and never lower for a faster or farther connection', () => {
    const mbps = fc.double({ min: 0, max: 20_000, noNaN: true });
    const tier = fc.constantFrom(...connectivityTiers);
    fc.assert(
      fc.property(
        tier,
        mbps,
        mbps,
        fc.double({ min: 0.05, max: 500, noNaN: true }),
        (stated, one, more, roundTripMs) => {
          const slow = connectivityOf(stated, measured(one, one, roundTripMs));
          expect(rank(slow)).toBeLessThanOrEqual(rank(stated));
          expect(rank(connectivityOf(stated, measured(one + more, one, roundTripMs)))).toBeGreaterThanOrEqual(
            rank(slow),
          );
          expect(rank(connectivityOf(stated, measured(one, one, 2 * roundTripMs)))).toBeGreaterThanOrEqual(rank(slow));
          expect(connectivityOf(stated, measured(20_000, 20_000, roundTripMs))).toBe(stated);
        },
      ),
    );
  });
});

test('of several measurements the best counts, each for itself', () => {
  expect(bestOf([])).toBeNull();
  const later = { ...sample(80, 300, 9), at: '2026-11-27T12:00:00.000Z' };
  expect(bestOf([sample(100, 50), later])).toEqual({ ...sample(100, 300), at: later.at });
});
