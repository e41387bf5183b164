import { expect, test } from '@jest/globals';
import { Recurring } from './recurring.js';

test('turns follow one another, a failed one too, and none is left when it has been stopped', async () => {
  const errors: unknown[] = [];
  let [turns, atOnce] = [0, 0];
  let enough: () => void = () => undefined;
  const done = new Promise<void>(resolve => {
    enough = resolve;
  });
  const recurring = new Recurring(
    'trial',
    1,
    async () => {
      atOnce += 1;
      expect(atOnce).toBe(1);
      turns += 1;
      if (turns === 4) enough();
      await new Promise(resolve => setImmediate(resolve));
      atOnce -= 1;
      if (turns === 2) throw new Error('once');
    },
    error => errors.push(error),
  );
  recurring.start();
  await done;
  await recurring.stop();
  expect(errors).toEqual([new Error('once')]);
  expect(atOnce).toBe(0);
  const before = turns;
  await new Promise(resolve => setTimeout(resolve, 20));
  expect(turns).toBe(before);
});
