import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { LoginQueue } from './login-queue.js';

const nowMs = () => Date.now();
const never = () => {
  throw new Error('sent away');
};
beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test('so many at a time, each once, and by address in turn', () => {
  const queue = new LoginQueue(1, 1_000, 100, 60_000, nowMs);
  const begun: string[] = [];
  let over: () => void = () => undefined;
  const come = (name: string) => {
    const [address = ''] = name;
    queue.enter(
      address,
      done => {
        begun.push(name);
        over = done;
      },
      never,
    );
  };
  for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) come(name);
  for (let turn = 0; turn < 5; turn += 1) over();
  expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2']);
});

test('one that dawdles keeps nobody waiting, and frees its place once', () => {
  const queue = new LoginQueue(1, 1_000, 100, 60_000, nowMs);
  const overs: (() => void)[] = [];
  for (let index = 0; index < 3; index += 1) queue.enter('a', over => void overs.push(over), never);
  expect(overs.length).toBe(1);
  jest.advanceTimersByTime(1_000);
  expect(overs.length).toBe(2);
  overs[0]?.();
  expect(overs.length).toBe(2);
  overs[1]?.();
  overs[1]?.();
  expect(overs.length).toBe(3);
});

test('beyond what may wait all are sent away', () => {
  const queue = new LoginQueue(1, 1_000, 2, 60_000, nowMs);
  let away = 0;
  const come = () => {
    queue.enter(
      'a',
      () => undefined,
      () => {
        away += 1;
      },
    );
    return away;
  };
  expect([come(), come(), come(), come()]).toEqual([0, 0, 0, 1]);
});

test('who has waited for too long is sent away in its turn, and the next begins', () => {
  const queue = new LoginQueue(1, 60_000, 100, 5_000, nowMs);
  const seen: string[] = [];
  const overs: (() => void)[] = [];
  const come = (name: string) =>
    queue.enter(
      name,
      over => {
        seen.push(name);
        overs.push(over);
      },
      () => void seen.push(`${name} away`),
    );
  come('first');
  come('old');
  jest.advanceTimersByTime(4_000);
  come('young');
  jest.advanceTimersByTime(2_000);
  overs[0]?.();
  expect(seen).toEqual(['first', 'old away', 'young']);
});

test('whatever comes and goes: never more than its number at a time, and all have their turn', () => {
  const step = fc.oneof(
    fc.record({ come: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ end: fc.nat({ max: 20 }) }),
    fc.record({ passMs: fc.nat({ max: 700 }) }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (most, steps) => {
      const queue = new LoginQueue(most, 1_000, 1_000, 1_000_000, nowMs);
      const live = new Map<() => void, number>();
      let [come, begun, now] = [0, 0, 0];
      const fresh = () => [...live.values()].filter(since => now - since < 1_000).length;
      for (const each of steps) {
        if ('come' in each) {
          come += 1;
          const begin = (over: () => void) => {
            begun += 1;
            live.set(over, now);
          };
          queue.enter(each.come, begin, never);
        } else if ('end' in each) {
          const over = [...live.keys()][each.end];
          if (over) live.delete(over);
          over?.();
        } else {
          now += each.passMs;
          jest.advanceTimersByTime(each.passMs);
        }
        expect(fresh()).toBeLessThanOrEqual(most);
        expect(begun + queue.waiting).toBe(come);
      }
      for (let turn = 0; turn <= come; turn += 1) jest.advanceTimersByTime(1_000);
      expect(begun).toBe(come);
    }),
  );
});
