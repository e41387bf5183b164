import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pollIntervalMs } from './polling.js';

test('a job that has just started is asked after many times a second', () => {
  expect(pollIntervalMs(0, 1)).toBeLessThanOrEqual(100);
});

test('a job that has run for a while is found ended after no more than a thirtieth of its time, or two seconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 60_000, max: 10 ** 9 }), ageMs => {
      const intervalMs = pollIntervalMs(ageMs, 1);
      expect(intervalMs).toBeLessThanOrEqual(Math.max(2_000, ageMs / 30));
      expect(intervalMs).toBeLessThanOrEqual(10_000);
    }),
  );
});

test('the older a job is and the more run beside it, the more rarely it is asked after', () => {
  const age = fc.integer({ min: 0, max: 10 ** 9 });
  const many = fc.integer({ min: 1, max: 1_000 });
  fc.assert(
    fc.property(age, age, many, many, (one, other, few, more) => {
      const [younger, older] = [Math.min(one, other), Math.max(one, other)];
      expect(pollIntervalMs(younger, Math.min(few, more))).toBeLessThanOrEqual(
        pollIntervalMs(older, Math.max(few, more)),
      );
    }),
  );
});
