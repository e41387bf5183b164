import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { accelerators } from '../matching/index.js';
import { expectationOf, type Subject, subjectsOf } from './expectation.js';
import { hourMs, momentOf } from './moment.js';
import { atLeast, latestShare, recomputation, rejectRate, spotted } from './rates.js';
import { longestRunSeconds, passSecondsOf, workOf, workOfProcessors } from './sizing.js';
import { longestSum, memoryBytesOf } from './work.js';

const GiB = 2 ** 30;

describe('rates', () => {
  test('at least so many of so many, by counting all outcomes', () => {
    const counted = (count: number, needed: number, chance: number) =>
      Array.from({ length: 2 ** count }, (_, mask) => {
        const hits = [...mask.toString(2)].filter(bit => bit === '1').length;
        return hits >= needed ? chance ** hits * (1 - chance) ** (count - hits) : 0;
      }).reduce((sum, one) => sum + one, 0);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 0, max: 8 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (count, needed, chance) => {
          expect(atLeast(count, needed, chance)).toBeCloseTo(counted(count, needed, chance), 9);
        },
      ),
    );
  });

  test('a device that is in time in 95 of 100 passes is turned away less than once in a million hours, one in 30 of 100 almost always', () => {
    const challenge = { passes: 6, needed: 4, tries: 2 };
    expect(rejectRate(challenge, 0.95)).toBeLessThan(1e-5);
    expect(rejectRate(challenge, 0.3)).toBeGreaterThan(0.86);
    expect(rejectRate(challenge, 0.1)).toBeGreaterThan(0.997);
  });

  test('the upper end of what is certain: the rule of three for none late', () => {
    expect(latestShare(0, 300)).toBeCloseTo(1 - 0.05 ** (1 / 300), 6);
    expect(latestShare(0, 300)).toBeCloseTo(3 / 300, 2);
    expect(latestShare(5, 100)).toBeCloseTo(0.1023, 3);
    expect(latestShare(3, 3)).toBe(1);
  });

  test('what little memory costs, and how soon wrong numbers are seen', () => {
    expect([1, 2, 3, 6].map(pass => recomputation(1, pass))).toEqual([1, 1, 1, 1]);
    expect([1, 2, 3, 4].map(pass => recomputation(0.5, pass))).toEqual([1, 2, 3, 4]);
    expect(recomputation(0, 6)).toBe(63);
    expect(spotted(0.062, 72)).toBeGreaterThan(0.99);
  });
});

describe('the size of the work', () => {
  test.each(accelerators.map(model => [model.slug, model] as const))(
    '%s: in its memory and its time',
    (_slug, model) => {
      const work = workOf(model);
      if (work === null) return;
      const seconds = passSecondsOf(model, work) ?? Number.NaN;
      expect(work.passes * seconds).toBeLessThanOrEqual(longestRunSeconds);
      expect(memoryBytesOf(work)).toBeLessThanOrEqual((model.memoryBytes ?? 0) * 0.85);
      expect(work.rowLength * work.products).toBeLessThanOrEqual(longestSum);
      // A pass is long beside the way there and back.
      expect(seconds).toBeGreaterThan(0.25);
    },
  );

  test('processors: more of them, more work, within an eighth of the memory', () => {
    expect(workOfProcessors(2, 24 * GiB).blocks).toBe(512);
    expect(workOfProcessors(64, 24 * GiB).blocks).toBe(16_384);
    expect(workOfProcessors(0.5, GiB).blocks).toBe(128);
  });
});

describe('what is expected', () => {
  const h100: Subject = {
    index: 0,
    uuid: 'GPU-1',
    model: 'NVIDIA H100 80GB HBM3',
    vendor: 'nvidia',
    memoryBytes: 80 * GiB,
    cpus: 8,
  };

  test('of a model with a data sheet: its time, with a tolerance', () => {
    const { basis, typicalMs, slowestMs, work, test: criterion } = expectationOf(h100, []);
    expect(basis).toBe('data-sheet');
    expect(slowestMs).toBeCloseTo(1.3 * (typicalMs ?? 0), 6);
    expect(criterion).toEqual({ passes: work.passes, needed: 5, tries: 2 });
  });

  test('of what no table has: any time that is of use, then its own', () => {
    const unknown = { ...h100, model: 'Quux 9000' };
    expect(expectationOf(unknown, [])).toMatchObject({ basis: 'nothing', typicalMs: null, slowestMs: 10_000 });
    expect(expectationOf(unknown, Array(12).fill(400))).toMatchObject({ basis: 'own-record', slowestMs: 600 });
  });

  test('a machine without accelerators is proven by its processors', () => {
    const inventory = { cpus: 2, memoryBytes: 24 * GiB, devices: [], cpuModel: 'AMD EPYC' };
    const [only, ...others] = subjectsOf(inventory as unknown as Parameters<typeof subjectsOf>[0]);
    expect([only?.index, others]).toEqual([null, []]);
  });
});

test('the moment lies in the first fifty minutes, is the same for a supplier, and cannot be told without the secret', () => {
  const keyed = (secret: string) => (bytes: Uint8Array) => createHmac('sha256', secret).update(bytes).digest();
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.string(), (hour, supplier) => {
      const moment = momentOf(keyed('secret'), hour * hourMs, supplier) - hour * hourMs;
      expect(moment).toBeGreaterThanOrEqual(0);
      expect(moment).toBeLessThan(50 * 60_000);
      expect(momentOf(keyed('secret'), hour * hourMs, supplier) - hour * hourMs).toBe(moment);
    }),
  );
  const moments = Array.from(
    { length: 2_000 },
    (_, hour) => momentOf(keyed('secret'), hour * hourMs, 't') - hour * hourMs,
  );
  const tenths = Array.from(
    { length: 10 },
    (_, tenth) => moments.filter(at => Math.floor(at / 300_000) === tenth).length,
  );
  for (const count of tenths) expect(count).toBeGreaterThan(140);
  const other = moments.filter((at, hour) => at === momentOf(keyed('other'), hour * hourMs, 't') - hour * hourMs);
  expect(other.length).toBeLessThan(3);
});
