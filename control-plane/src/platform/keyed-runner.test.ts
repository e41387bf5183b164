import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KeyedRunner } from './wakeups.js';

test('a key never runs twice at a time, and runs to its end after the last wake-up', async () => {
  const wakes = fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.nat(3)), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), wakes, async (scheduler, list) => {
      const wanted = new Map<string, number>();
      const seen = new Map<string, number>();
      const running = new Set<string>();
      const runner = new KeyedRunner(async key => {
        expect(running.has(key)).toBe(false);
        running.add(key);
        const version = wanted.get(key) ?? 0;
        await scheduler.schedule(Promise.resolve());
        seen.set(key, version);
        running.delete(key);
      });
      for (const [key, steps] of list) {
        wanted.set(key, (wanted.get(key) ?? 0) + 1);
        void runner.run(key);
        for (let step = 0; step < steps && scheduler.count() > 0; step += 1) await scheduler.waitOne();
      }
      await scheduler.waitFor(runner.idle());
      expect(seen).toEqual(wanted);
    }),
  );
});

test('a failure of one key ends that run alone', async () => {
  const ran: string[] = [];
  const runner = new KeyedRunner(async key => {
    ran.push(key);
    if (key === 'bad') throw new Error('it broke');
  });
  await expect(runner.run('bad')).rejects.toThrow('it broke');
  await runner.run('good');
  await expect(runner.run('bad')).rejects.toThrow('it broke');
  expect(ran).toEqual(['bad', 'good', 'bad']);
});
