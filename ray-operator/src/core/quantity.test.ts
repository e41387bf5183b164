import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatCount, formatMemory, parseQuantity, wholeUnits } from './quantity.js';

test.each([
  ['500m', 500n],
  ['1', 1_000n],
  [4, 4_000n],
  ['1.5', 1_500n],
  ['.25', 250n],
  ['4Gi', 4n * 2n ** 30n * 1_000n],
  ['1e3', 1_000_000n],
  ['5E-1', 500n],
  ['2k', 2_000_000n],
  ['1E', 10n ** 21n],
  ['100u', 1n],
])('%s is %s milli-units', (text, milli) => expect(parseQuantity(text)).toBe(milli));

test.each(['', 'four', '-1', '1Zi', '1.5.2', 'Gi', '1 Gi'])('%j is no quantity', text => {
  expect(parseQuantity(text)).toBeUndefined();
});

test('what is written of an amount reads back as the same amount', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 70n }), milli => {
      expect(parseQuantity(formatCount(milli))).toBe(milli);
      expect(parseQuantity(formatMemory(milli))).toBe(milli);
    }),
  );
});

test('a part of a CPU counts as one', () => expect(wholeUnits(1_500n)).toBe(2n));
