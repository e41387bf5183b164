import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Batcher } from './batcher.js';

test('each call gets its own result, once, whatever the order of things', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.integer(), { maxLength: 30 }),
      fc.integer({ min: 1, max: 5 }),
      async (scheduler, items, maxSize) => {
        const worked: number[] = [];
        const batcher = new Batcher<number, string>(async batch => {
          expect(batch.length).toBeLessThanOrEqual(maxSize);
          worked.push(...batch);
          await scheduler.schedule(Promise.resolve());
          return batch.map(String);
        }, maxSize);
        const results = Promise.all(items.map(item => batcher.add(item)));
        await scheduler.waitFor(results);
        expect(await results).toEqual(items.map(String));
        expect(worked).toEqual(items);
      },
    ),
  );
});

test('what comes while one is under way goes together', async () => {
  const sizes: number[] = [];
  const batcher = new Batcher<number, number>(async batch => {
    sizes.push(batch.length);
    await Promise.resolve();
    return batch;
  }, 100);
  await Promise.all([1, 2, 3, 4, 5].map(item => batcher.add(item)));
  expect(sizes).toEqual([1, 4]);
});

test('a bad item fails alone where the failure can be separated, with all otherwise', async () => {
  const work = async (batch: number[]) => {
    if (batch.includes(3)) throw new Error('three');
    return batch;
  };
  const outcomes = (batcher: Batcher<number, number>) =>
    Promise.allSettled([1, 2, 3, 4].map(item => batcher.add(item))).then(list => list.map(({ status }) => status));
  expect(await outcomes(new Batcher(work, 10, () => true))).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
  ]);
  expect(await outcomes(new Batcher(work, 10))).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected']);
});

test('with a spacing, what comes soon after a batch waits for company, and the first goes at once', async () => {
  const batches: { at: number; items: number[] }[] = [];
  const spacingMs = 50;
  const batcher = new Batcher<number, number>(
    async items => {
      batches.push({ at: performance.now(), items });
      return items;
    },
    100,
    undefined,
    spacingMs,
  );
  const startedMs = performance.now();
  await batcher.add(1);
  await Promise.all([batcher.add(2), new Promise(resolve => setTimeout(resolve, 5)).then(() => batcher.add(3))]);
  expect(batches.map(({ items }) => items)).toEqual([[1], [2, 3]]);
  // A timer may fire a little early by the finer clock; without a spacing it would have come at once.
  expect((batches[1]?.at ?? 0) - startedMs).toBeGreaterThan(spacingMs / 2);
});
