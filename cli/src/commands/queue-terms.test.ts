import type { QueueTerms, TenantId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { changedQueueTerms, parseQueueAmounts, queueTermsInWords, tenantQueueInWords } from './queue-terms.js';

const GiB = 2 ** 30;
const terms: QueueTerms = {
  weight: 2,
  quota: { gpus: 8, memoryBytes: 512 * GiB },
  cohort: 'research',
  borrowingLimit: { gpus: 4 },
};

test('amounts are typed as pairs, or taken back with none', () => {
  expect(parseQueueAmounts('gpus=0.5,cpus=64, memory=512GiB')).toEqual({
    gpus: 0.5,
    cpus: 64,
    memoryBytes: 512 * GiB,
  });
  expect(parseQueueAmounts('none')).toBe('none');
});

test.each([
  ['gpus', '"gpus" is no key=value; expected such as gpus=8,cpus=64,memory=512GiB, or none'],
  ['gpus=', '"gpus=" is no key=value'],
  ['tpus=1', 'unknown resource tpus'],
  ['constructor=1', 'unknown resource constructor'],
  ['gpus=1,gpus=2', 'gpus is given twice'],
  ['gpus=many', '"many" is no number'],
  ['gpus=-1', '"-1" is no number'],
  ['memory=lots', '"lots" is no amount of memory'],
])('%s is refused in one line', (text, words) => {
  expect(() => parseQueueAmounts(text)).toThrow(words);
});

describe('a change', () => {
  test('leaves what is not named', () => {
    expect(changedQueueTerms(terms, { weight: 3 })).toEqual({ ...terms, weight: 3 });
    expect(changedQueueTerms(terms, { borrow: { gpus: 1 } })).toEqual({ ...terms, borrowingLimit: { gpus: 1 } });
  });

  test('sets a quota as a whole', () => {
    expect(changedQueueTerms(terms, { quota: { cpus: 4 }, borrow: 'none' })).toEqual({
      ...terms,
      quota: { cpus: 4 },
      borrowingLimit: {},
    });
  });

  test('that takes the cohort away takes the limit on borrowing with it', () => {
    expect(changedQueueTerms(terms, { cohort: 'none' })).toEqual({ ...terms, cohort: null, borrowingLimit: {} });
    expect(changedQueueTerms(terms, { cohort: 'none', quota: 'none' }).quota).toBeNull();
  });

  test('of nothing is refused', () => expect(() => changedQueueTerms(terms, {})).toThrow('nothing to change'));
});

test('terms are shown with what may be borrowed', () => {
  expect(queueTermsInWords(terms)).toBe(
    [
      'weight  2',
      'cohort  research',
      '',
      'RESOURCE  QUOTA        MAY BORROW',
      'gpus      8            4',
      'cpus      not limited  -',
      'memory    512 GiB      what others leave',
    ].join('\n'),
  );
  expect(queueTermsInWords({ ...terms, cohort: null, borrowingLimit: {} })).toContain('gpus      8            nothing');
});

test('the own queue shows what is held beside what may be', () => {
  const held = { gpus: 9.5, cpus: 3, memoryBytes: GiB };
  const tenantId = 'tn_00000000000000000001' as TenantId;
  expect(tenantQueueInWords({ tenantId, terms, held, running: 4, waiting: 17 })).toBe(
    [
      'tenant  tn_00000000000000000001',
      'jobs    4 on clusters, 17 in the queue',
      'weight  2',
      'cohort  research',
      '',
      'RESOURCE  HELD   QUOTA        MAY BORROW',
      'gpus      9.5    8            4',
      'cpus      3      not limited  -',
      'memory    1 GiB  512 GiB      what others leave',
    ].join('\n'),
  );
});
