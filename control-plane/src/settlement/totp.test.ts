import { expect, test } from '@jest/globals';
import { base32, codeOf, stepAt, stepOfCode } from './totp.js';

const secret = Buffer.from('12345678901234567890');

// RFC 6238, appendix B, the last six of its eight digits.
test.each([
  [59, '287082'],
  [1111111109, '081804'],
  [1111111111, '050471'],
  [1234567890, '005924'],
  [2000000000, '279037'],
  [20000000000, '353130'],
])('the code at %d s is that of RFC 6238', (seconds, code) => {
  expect(codeOf(secret, stepAt(seconds * 1_000))).toBe(code);
});

test('a code is good half a minute around its time, once, and none from before it after that', () => {
  const now = 59_000;
  expect(stepOfCode(secret, '287082', now, 0)).toBe(1);
  expect(stepOfCode(secret, '287082', now + 30_000, 0)).toBe(1);
  expect(stepOfCode(secret, '287082', now + 61_000, 0)).toBeNull();
  expect(stepOfCode(secret, '287082', now, 1)).toBeNull();
  expect(stepOfCode(secret, '28708', now, 0)).toBeNull();
});

test('base 32 is that of RFC 4648', () => expect(base32(Buffer.from('foobar'))).toBe('MZXW6YTBOI'));
