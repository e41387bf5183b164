import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pollIntervalMs } from './polling.js';

test('a job that has just started is asked after many times a second', () => {
  expect(pollIntervalMs(0, 1, 1_000)).toBeLessThanOrEqual(100);
});

test('a job that has run for a while is found ended after no more than a thirtieth of its time, or two seconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 60_000, max: 10 ** 9 }), ageMs => {
      const intervalMs = pollIntervalMs(ageMs, 1, 1);
      expect(intervalMs).toBeLessThanOrEqual(Math.max(2_000, ageMs / 30));
      expect(intervalMs).toBeLessThanOrEqual(10_000);
    }),
  );
});

test('the older a job is and the more run beside it, the more rarely it is asked after', () => {
  const pair = (max: number, min = 1) =>
    fc.tuple(fc.integer({ min, max }), fc.integer({ min, max })).map(two => two.sort((one, other) => one - other));
  fc.assert(
    fc.property(pair(10 ** 9, 0), pair(1_000), pair(10_000), ([younger, older], [few, many], [less, more]) => {
      const rarely = pollIntervalMs(older ?? 0, many ?? 0, more ?? 0);
      expect(pollIntervalMs(younger ?? 0, few ?? 0, less ?? 0)).toBeLessThanOrEqual(rarely);
    }),
  );
});

test('fifty clusters make no job wait, and a new one waits for none of very many', () => {
  expect(pollIntervalMs(30_000, 1, 50)).toBe(pollIntervalMs(30_000, 1, 1));
  expect(pollIntervalMs(9_000, 1, 10_000)).toBe(pollIntervalMs(9_000, 1, 1));
});

test('an old job is asked after every ten seconds at least, however many clusters there are', () => {
  expect(pollIntervalMs(10 ** 9, 1, 100_000)).toBe(10_000);
});
