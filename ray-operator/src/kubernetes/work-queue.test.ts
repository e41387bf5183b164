import { expect, test } from '@jest/globals';
import { WorkQueue } from './work-queue.js';

function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>(resolve => {
    open = resolve;
  });
  return { open, opened };
}

test('a key is never worked on twice at once, and what came meanwhile is looked at after', async () => {
  const first = gate();
  const done = gate();
  let active = 0;
  let rounds = 0;
  const queue = new WorkQueue({
    concurrency: 4,
    onFailure: () => undefined,
    async work() {
      active += 1;
      expect(active).toBe(1);
      rounds += 1;
      if (rounds === 1) await first.opened;
      active -= 1;
      if (rounds === 2) done.open();
    },
  });
  queue.start();
  for (let again = 0; again < 5; again += 1) queue.add('a');
  first.open();
  await done.opened;
  await queue.stop();
  expect(rounds).toBe(2);
});

test('different keys are worked on side by side', async () => {
  const both = gate();
  let active = 0;
  const queue = new WorkQueue({
    concurrency: 2,
    onFailure: () => undefined,
    async work() {
      active += 1;
      if (active === 2) both.open();
      await both.opened;
    },
  });
  queue.add('a');
  queue.add('b');
  queue.start();
  await both.opened;
  await queue.stop();
  expect(active).toBe(2);
});

test('a key that fails comes again, later each time, and a success is forgotten', async () => {
  const pauses: number[] = [];
  const done = gate();
  let attempts = 0;
  const queue = new WorkQueue({
    concurrency: 1,
    firstPauseMs: 1,
    onFailure: (_key, _error, pauseMs) => pauses.push(pauseMs),
    async work() {
      attempts += 1;
      if (attempts < 4) throw new Error('not yet');
      done.open();
    },
  });
  queue.start();
  queue.add('a');
  await done.opened;
  await queue.stop();
  expect(pauses).toEqual([1, 2, 4]);
});

test('a stop waits for what is under way and takes up nothing more', async () => {
  const first = gate();
  const worked: string[] = [];
  const queue = new WorkQueue({
    concurrency: 1,
    onFailure: () => undefined,
    async work(key) {
      await first.opened;
      worked.push(key);
    },
  });
  queue.start();
  queue.add('a');
  queue.add('b');
  const stopped = queue.stop();
  first.open();
  await stopped;
  expect(worked).toEqual(['a']);
  expect(queue.depth).toBe(1);
});
