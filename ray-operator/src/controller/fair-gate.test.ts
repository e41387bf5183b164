import { expect, test } from '@jest/globals';
import { FairGate } from './fair-gate.js';

/** Work that ends when it is told to, in the order in which it began. */
function workshop() {
  const begun: string[] = [];
  const endings: (() => void)[] = [];
  const work = (name: string) => () => {
    begun.push(name);
    return new Promise<void>(resolve => endings.push(resolve));
  };
  const endOne = async () => {
    endings.shift()?.();
    await new Promise(resolve => setImmediate(resolve));
  };
  return { begun, work, endOne };
}

test('no more than so many are under way', async () => {
  const { begun, work, endOne } = workshop();
  const gate = new FairGate(2);
  const all = ['a', 'b', 'c'].map(name => gate.run(name, work(name)));
  await new Promise(resolve => setImmediate(resolve));
  expect(begun).toEqual(['a', 'b']);
  await endOne();
  expect(begun).toEqual(['a', 'b', 'c']);
  await endOne();
  await endOne();
  await Promise.all(all);
});

test('one who comes later and wants little is not behind all that another wants', async () => {
  const { begun, work, endOne } = workshop();
  const gate = new FairGate(1);
  const all = ['big-1', 'big-2', 'big-3', 'big-4'].map(name => gate.run('big', work(name)));
  all.push(gate.run('small', work('small-1')));
  for (let count = 0; count < 5; count += 1) await endOne();
  await Promise.all(all);
  expect(begun).toEqual(['big-1', 'big-2', 'small-1', 'big-3', 'big-4']);
});

test('work that fails gives its place to the next', async () => {
  const gate = new FairGate(1);
  const failing = gate.run('a', () => Promise.reject(new Error('no')));
  const next = gate.run('b', async () => 'done');
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('done');
});
