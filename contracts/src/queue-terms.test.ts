import { describe, expect, test } from '@jest/globals';
import { queueTerms } from './queue-terms.js';

const faults = (terms: object) =>
  queueTerms.safeParse(terms).error?.issues.map(({ path, message }) => [path.join('.'), message]) ?? [];

describe('queue terms', () => {
  test('are the defaults where nothing is said', () => {
    expect(queueTerms.parse({})).toEqual({ weight: 1, quota: null, cohort: null, borrowingLimit: {} });
  });

  test('are taken as they are said', () => {
    const terms = {
      weight: 2.5,
      quota: { gpus: 8.125, cpus: 64, memoryBytes: 512 * 2 ** 30 },
      cohort: 'research',
      borrowingLimit: { gpus: 4 },
    };
    expect(queueTerms.parse(terms)).toEqual(terms);
  });

  test.each([0.001, 0.1, 0.3, 1.005, 2.675, 1_234.567, 999_999_999.999, 1_000_000_000])(
    'count accelerators to a thousandth: %p',
    gpus => expect(faults({ quota: { gpus } })).toEqual([]),
  );

  test.each([0.0001, 0.3337, 1.0005, -1, 1_000_000_001, '8', null])('take no %p accelerators', gpus => {
    expect(faults({ quota: { gpus } })).toEqual([['quota.gpus', expect.any(String)]]);
  });

  test.each([
    ['a weight of nothing', { weight: 0 }, 'weight'],
    ['a weight below nothing', { weight: -1 }, 'weight'],
    ['a weight beyond all', { weight: Number.POSITIVE_INFINITY }, 'weight'],
    ['a part of a byte', { quota: { memoryBytes: 1.5 } }, 'quota.memoryBytes'],
    ['a resource that is not known', { quota: { gpus: 1, tpus: 1 } }, 'quota'],
    ['a quota of nothing named', { quota: {} }, 'quota'],
    ['a cohort by a long-winded name', { cohort: 'Our Research', quota: { gpus: 1 } }, 'cohort'],
    ['a key that is not known', { quotas: { gpus: 1 } }, ''],
  ])('refuse %s', (_name, terms, path) => {
    expect(faults(terms).map(([where]) => where)).toEqual([path]);
  });

  test('refuse to let a tenant borrow of nobody', () => {
    expect(faults({ quota: { gpus: 8 }, borrowingLimit: { gpus: 4 } })).toEqual([
      ['borrowingLimit', expect.stringContaining('without a cohort there is nobody to borrow from')],
    ]);
  });

  test('refuse a limit on borrowing what is not limited', () => {
    const terms = { cohort: 'research', quota: { gpus: 8 }, borrowingLimit: { gpus: 4, cpus: 4 } };
    expect(faults(terms)).toEqual([['borrowingLimit.cpus', expect.stringContaining('does not limit this')]]);
  });

  test('refuse a cohort to a tenant without a quota, which would use what the others lend and not count', () => {
    expect(faults({ cohort: 'research' })).toEqual([
      ['quota', expect.stringContaining('{"gpus": 0} for a tenant that only')],
    ]);
    expect(faults({ cohort: 'research', quota: { gpus: 0 } })).toEqual([]);
  });
});
