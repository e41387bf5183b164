import { describe, expect, test } from '@jest/globals';
import { type Bug, type GroundKind, groundKinds, simulate } from './index.js';

const small = { hours: 2, gpus: 24 };
const seeds = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe.each<GroundKind>([...groundKinds])('a simulated fleet on %s', ground => {
  test('keeps every invariant, whatever fails', () => {
    const sums = { jobs: 0, faults: 0, badProbes: 0, fenced: 0, stopped: 0 };
    for (const seed of seeds(150)) {
      const { summary, breach } = simulate(seed, small, { ground });
      expect([seed, breach?.message]).toEqual([seed, undefined]);
      sums.jobs += summary.jobs.submitted - summary.jobs.refused;
      sums.faults += summary.faults;
      sums.badProbes += summary.badProbes;
      sums.fenced += summary.fencedWordsDropped;
      sums.stopped += summary.preemptions + summary.reclaims;
    }
    // That something has happened at all.
    expect(sums.jobs).toBeGreaterThan(2_000);
    expect(sums.faults).toBeGreaterThan(500);
    expect(sums.badProbes).toBeGreaterThan(10_000);
    expect(Math.min(sums.fenced, sums.stopped)).toBeGreaterThan(0);
  });

  test('is the same again from its seed, to the byte', () => {
    for (const seed of [7, 8, 9]) {
      expect(JSON.stringify(simulate(seed, small, { ground }))).toBe(JSON.stringify(simulate(seed, small, { ground })));
    }
  });

  test.each<[Bug, RegExp, number]>([
    ['no-fence', /succeeds once|not fenced|given twice/, 1],
    ['probe-restarts', /healthy job is not restarted/, 1],
    ['shared-devices', /given twice/, 1],
    // It takes a rare turn of events: a seed that has it is not far from here.
    ['no-memory', /in vain/, ground === 'fleet' ? 200 : 400],
  ])('finds a planted bug: %s', (bug, invariant, from) => {
    const options = { bugs: new Set([bug]), ground, ...(bug === 'no-memory' ? { rebuilds: true } : {}) };
    const from300 = seeds(300).map(seed => seed + from - 1);
    const found = from300.find(seed => simulate(seed, small, options).breach !== null);
    expect(found).toBeDefined();
    const { breach } = simulate(found ?? 0, small, options);
    expect(breach?.invariant).toMatch(invariant);
    expect(breach?.trace.length).toBeGreaterThan(0);
  });
});

test.each([399, 9553, 9665, 25909, 81589, 89639, 523509])(
  'seed %i, which once broke an invariant, breaks none',
  seed => {
    expect(simulate(seed, small, { ground: 'pools' }).breach).toBeNull();
  },
);
