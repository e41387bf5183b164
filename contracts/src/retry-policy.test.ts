import { expect, test } from '@jest/globals';
import { ioMetadata } from './io-metadata.js';
import { longestBackoffSeconds, retryDelayMs, retryPolicyOf } from './retry-policy.js';

test('a job that says nothing runs three times at most, and never again after its own error', () => {
  const saying: (Record<string, string> | null | undefined)[] = [null, undefined, {}, { team: 'a' }];
  for (const metadata of saying) {
    expect(retryPolicyOf(metadata)).toEqual({
      maxAttempts: 3,
      on: ['infrastructure'],
      backoffSeconds: 1,
      graceSeconds: 30,
    });
  }
});

test.each([
  ['none', []],
  ['error', ['error']],
  ['infrastructure,error', ['infrastructure', 'error']],
])('io.retry_on=%s means %j', (text, causes) => {
  expect(ioMetadata.safeParse({ 'io.retry_on': text }).success).toBe(true);
  expect(retryPolicyOf({ 'io.retry_on': text }).on).toEqual(causes);
});

test.each([
  ['io.retry_on', ''],
  ['io.retry_on', 'errors'],
  ['io.retry_on', 'none,error'],
  ['io.retry_on', 'infrastructure, error'],
  ['io.retry_backoff_seconds', '-1'],
  ['io.retry_backoff_seconds', '1.5'],
  ['io.retry_backoff_seconds', '86401'],
  ['io.max_attempts', '0'],
  ['io.max_attempts', '11'],
  ['io.grace_seconds', '0'],
  ['io.grace_seconds', '3601'],
])('%s=%j is refused', (key, text) => {
  expect(ioMetadata.safeParse({ [key]: text }).success).toBe(false);
});

test('the pause doubles up to its longest, and a first pause that is longer stays as it is', () => {
  const pauses = (backoffSeconds: number) =>
    [1, 2, 3, 9, 10].map(attempts => retryDelayMs({ backoffSeconds }, attempts) / 1_000);
  expect(pauses(2)).toEqual([2, 4, 8, longestBackoffSeconds, longestBackoffSeconds]);
  expect(pauses(0)).toEqual([0, 0, 0, 0, 0]);
  expect(pauses(3_600)).toEqual([3_600, 3_600, 3_600, 3_600, 3_600]);
});
