import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { inGrowingBatches } from './slow-start.js';

test('each item is worked on once, in order, at most the largest batch at a time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(200), fc.integer({ min: 1, max: 64 }), async (count, largest) => {
      const seen: number[] = [];
      let active = 0;
      let most = 0;
      const items = Array.from({ length: count }, (_, index) => index);
      const result = await inGrowingBatches(items, largest, async item => {
        seen.push(item);
        active += 1;
        most = Math.max(most, active);
        await Promise.resolve();
        active -= 1;
      });
      expect(result).toEqual({ done: count, errors: [] });
      expect(seen).toEqual(items);
      expect(most).toBeLessThanOrEqual(largest);
    }),
  );
});

test('where all fail, one request is spent', async () => {
  let asked = 0;
  const result = await inGrowingBatches([1, 2, 3, 4, 5], 8, async () => {
    asked += 1;
    throw new Error('over quota');
  });
  expect([asked, result.done, result.errors.length]).toEqual([1, 0, 1]);
});
