import { expect, test } from '@jest/globals';
import { type Plan, type Portion, Range } from './range.js';

const plan: Plan = { from: 11, to: 1_000, size: null, ground: null };
const sums = ({ from, to }: Portion) => ({ totals: { seeds: to - from + 1 }, seedsWith: { reclaims: 1 } });

function portionsOf(range: Range): Portion[] {
  const portions: Portion[] = [];
  for (let portion = range.next(); portion; portion = range.next()) portions.push(portion);
  return portions;
}

test('gives out each seed of the range once', () => {
  const seeds = portionsOf(new Range(plan)).flatMap(({ from, to }) =>
    Array.from({ length: to - from + 1 }, (_, at) => from + at),
  );
  expect(seeds).toEqual(Array.from({ length: 990 }, (_, at) => 11 + at));
});

test('counts what is done without a gap, in whatever order it was done', () => {
  const range = new Range(plan);
  const [first, second, ...others] = portionsOf(range) as [Portion, Portion, ...Portion[]];
  range.done(second, sums(second));
  expect(range.progress(0, 0)).toMatchObject({ nextSeed: 11, totals: {} });
  range.done(first, sums(first));
  expect(range.progress(0, 0)).toMatchObject({ nextSeed: second.to + 1, totals: { seeds: second.to - 10 } });
  for (const portion of others.reverse()) range.done(portion, sums(portion));
  expect(range.isDone).toBe(true);
  expect(range.progress(0, 0).totals.seeds).toBe(990);
});

test('goes on from what was kept, and adds to it', () => {
  const begun = new Range(plan);
  const first = begun.next() as Portion;
  begun.done(first, sums(first));
  const kept = JSON.parse(JSON.stringify(begun.progress(7, 9)));
  const range = new Range(plan, kept);
  for (const portion of portionsOf(range)) range.done(portion, sums(portion));
  expect(range.progress(1, 1)).toMatchObject({ totals: { seeds: 990 }, wallSeconds: 8, cpuSeconds: 10 });
});

test('refuses progress of another range', () => {
  const kept = new Range(plan).progress(0, 0);
  expect(() => new Range({ ...plan, to: 2_000 }, kept)).toThrow("another 'to'");
  expect(() => new Range({ ...plan, size: { hours: 2, gpus: 24 } }, kept)).toThrow("another 'size'");
});
