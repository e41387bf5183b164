import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { acrossRuns, countedAt, curveOf, type Sample } from './curve.js';

const life = { fromMs: 0, untilMs: null };
const laterMs = 1e9;
const curve = (samples: readonly Sample[]) => curveOf(samples, life, laterMs);
const at = (...pairs: [number, number][]) => pairs.map(([atMs, value]) => ({ atMs, value }));
const sample = fc.record({ atMs: fc.integer({ min: 0, max: 1e6 }), value: fc.integer({ min: 0, max: 1e9 }) });
const samples = fc.array(sample, { maxLength: 40 });
/** Samples of a counter that only grows. */
const growing = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 0, max: 1e6 })), {
    minLength: 1,
    maxLength: 40,
  })
  .map(steps => {
    let [atMs, value] = [0, 0];
    return steps.map(([ms, more]) => {
      atMs += ms;
      value += more;
      return { atMs, value };
    });
  });
const boundaries = fc
  .uniqueArray(fc.integer({ min: 0, max: 2e6 }), { minLength: 2, maxLength: 20 })
  .map(list => list.sort((a, b) => a - b));

describe('rules', () => {
  test('between two samples a counter grows evenly, after the last it is not known to', () => {
    const counted = (atMs: number) => countedAt(curve(at([1_000, 10], [3_000, 30])), atMs);
    expect([0, 500, 1_000, 2_000, 2_050, 3_000, 9_000].map(counted)).toEqual([0, 5, 10, 20, 20, 30, 30]);
  });

  test('a gap is bridged evenly: what was counted in it is not lost, only not known to the second', () => {
    const gap = curve(at([3_600_000, 3_600], [10_800_000, 10_800]));
    expect(countedAt(gap, 7_200_000) - countedAt(gap, 3_600_000)).toBe(3_600);
  });

  test('a counter that falls to less than half has begun anew, and what it had reached stays', () => {
    expect(countedAt(curve(at([1_000, 100], [2_000, 10], [3_000, 60])), 3_000)).toBe(160);
  });

  test('one that falls a little was read by a clock that lags: nothing is counted twice', () => {
    expect(countedAt(curve(at([1_000, 100], [1_100, 99], [2_000, 110])), 2_000)).toBe(110);
  });

  test('of two values of one moment the higher counts', () => {
    expect(countedAt(curve(at([1_000, 99], [1_000, 100])), 1_000)).toBe(100);
  });

  test('a sample from before the beginning, after the end or the future is of a clock that is wrong', () => {
    const bounded = curveOf(at([-50, 0], [500, 5], [5_000, 50]), { fromMs: 0, untilMs: 1_000 }, laterMs);
    expect([countedAt(bounded, 1_000), countedAt(bounded, 9_000)]).toEqual([50, 50]);
    expect(countedAt(curveOf(at([9_000, 9]), life, 1_000), 1_000)).toBe(9);
  });

  test('runs of an agent add up, however little the one before had reached', () => {
    const told = [
      { run: 'b', atMs: 5_000, value: 9 },
      { run: 'a', atMs: 1_000, value: 4 },
      { run: 'a', atMs: 2_000, value: 5 },
      { run: 'b', atMs: 6_000, value: 20 },
    ];
    expect(
      acrossRuns(told)
        .sort((x, y) => x.atMs - y.atMs)
        .map(({ value }) => value),
    ).toEqual([4, 5, 14, 25]);
  });
});

test('in whatever order samples come, and however often, the curve is the same', () => {
  fc.assert(
    fc.property(samples, fc.infiniteStream(fc.nat()), (list, random) => {
      const again = [...list, ...list.slice(0, 5)]
        .map(one => [random.next().value as number, one] as const)
        .sort(([left], [right]) => left - right)
        .map(([, one]) => one);
      expect(curve(again)).toEqual(curve(list));
    }),
  );
});

test('nothing is lost or counted twice between windows, whatever was sampled', () => {
  fc.assert(
    fc.property(samples, boundaries, (list, cuts) => {
      const made = curve(list);
      const increases = cuts.slice(1).map((cut, index) => countedAt(made, cut) - countedAt(made, cuts[index] ?? 0));
      expect(increases.every(increase => Number.isInteger(increase) && increase >= 0)).toBe(true);
      const sum = increases.reduce((total, increase) => total + increase, 0);
      expect(sum).toBe(countedAt(made, cuts.at(-1) ?? 0) - countedAt(made, cuts[0] ?? 0));
    }),
  );
});

test('a counter that only grows comes to its last value, wherever it was sampled', () => {
  fc.assert(
    fc.property(growing, list => {
      expect(countedAt(curve(list), laterMs)).toBe(list.at(-1)?.value);
    }),
  );
});

test('over restarts it comes to the sum of what each life had reached', () => {
  fc.assert(
    fc.property(fc.array(growing, { minLength: 1, maxLength: 5 }), lives => {
      let sinceMs = 0;
      const told = lives.flatMap((list, run) => {
        const shifted = list.map(({ atMs, value }) => ({ run: String(run), atMs: sinceMs + atMs, value }));
        sinceMs = shifted.at(-1)?.atMs ?? sinceMs;
        return shifted;
      });
      const made = curveOf(acrossRuns(told), life, laterMs);
      expect(countedAt(made, laterMs)).toBe(lives.reduce((sum, list) => sum + (list.at(-1)?.value ?? 0), 0));
    }),
  );
});

test('a sample that comes late between two others changes what lies between them and nothing else', () => {
  fc.assert(
    fc.property(growing, fc.nat(), (list, pick) => {
      const index = pick % list.length;
      const without = list.filter((_, position) => position !== index);
      const next = without.find(({ atMs }) => atMs > (list[index]?.atMs ?? 0));
      if (!next) return;
      for (const { atMs } of list.slice(index + 1)) {
        expect(countedAt(curve(list), atMs)).toBe(countedAt(curve(without), atMs));
      }
    }),
  );
});
