import { describe, expect, test } from '@jest/globals';
import { type Bug, simulate } from './index.js';

const small = { hours: 2, gpus: 24 };
const seeds = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('a simulated fleet', () => {
  test('keeps every invariant, whatever fails', () => {
    const sums = { jobs: 0, faults: 0, badProbes: 0, fenced: 0, stopped: 0 };
    for (const seed of seeds(200)) {
      const { summary, breach } = simulate(seed, small);
      expect([seed, breach?.message]).toEqual([seed, undefined]);
      sums.jobs += summary.jobs.submitted;
      sums.faults += summary.faults;
      sums.badProbes += summary.badProbes;
      sums.fenced += summary.fencedWordsDropped;
      sums.stopped += summary.preemptions + summary.reclaims;
    }
    // That something has happened at all.
    expect(sums.jobs).toBeGreaterThan(4_000);
    expect(sums.faults).toBeGreaterThan(500);
    expect(sums.badProbes).toBeGreaterThan(10_000);
    expect(Math.min(sums.fenced, sums.stopped)).toBeGreaterThan(0);
  });

  test('is the same again from its seed', () => {
    expect(simulate(7, small)).toEqual(simulate(7, small));
  });

  test.each<[Bug, RegExp]>([
    ['no-fence', /succeeds once|not fenced/],
    ['probe-restarts', /healthy job is not restarted/],
    ['shared-devices', /one lease at most/],
  ])('finds a planted bug: %s', (bug, invariant) => {
    const found = seeds(300).find(seed => simulate(seed, small, new Set([bug])).breach !== null);
    expect(found).toBeDefined();
    const { breach } = simulate(found ?? 0, small, new Set([bug]));
    expect(breach?.invariant).toMatch(invariant);
    expect(breach?.trace.length).toBeGreaterThan(0);
  });
});
