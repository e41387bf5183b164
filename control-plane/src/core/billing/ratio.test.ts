import { expect, test } from '@jest/globals';
import { parseRatio } from './index.js';

test.each([
  ['1.85', 185n, 100n],
  ['37/20', 37n, 20n],
  ['0.5/2', 5n, 20n],
  ['3', 3n, 1n],
])('%s is read exactly', (text, numerator, denominator) => {
  expect(parseRatio(text)).toEqual({ numerator, denominator });
});

test.each(['', '0', '0.00', '1/0', '-1', '1.', '.5', '1e3', '1/2/3', ' 1'])('%j is no ratio above zero', text => {
  expect(() => parseRatio(text)).toThrow(RangeError);
});
