import { expect, test } from '@jest/globals';
import type { Pod } from '../core/kubernetes-objects.js';
import { Expectations } from './expectations.js';

const pod = (name: string, uid = name): Pod => ({ metadata: { name, namespace: 'n', uid } });

test('a cluster waits until the watch has shown what was done', () => {
  const expectations = new Expectations(() => 0, 1_000);
  expectations.expectCreation('c', 'a');
  expectations.expectDeletion('c', 'b');
  expect(expectations.remainingMs('c')).toBe(1_000);
  expectations.observed('c', 'added', pod('a'));
  expect(expectations.remainingMs('c')).toBe(1_000);
  expectations.observed('c', 'updated', pod('b'));
  expect(expectations.remainingMs('c')).toBe(1_000);
  expectations.observed('c', 'deleted', pod('b'));
  expect(expectations.remainingMs('c')).toBe(0);
});

test('a watch faster than the answer leaves nothing to wait for', () => {
  const expectations = new Expectations(() => 0, 1_000);
  expectations.expectCreation('c', 'a');
  expectations.observed('c', 'added', pod('a'));
  expectations.observed('c', 'deleted', pod('a'));
  expect(expectations.remainingMs('c')).toBe(0);
});

test('what surely failed is not waited for, and no wait is for ever', () => {
  let now = 0;
  const expired: string[] = [];
  const expectations = new Expectations(
    () => now,
    1_000,
    key => expired.push(key),
  );
  expectations.expectCreation('c', 'a');
  expectations.creationFailed('c', 'a');
  expect(expectations.remainingMs('c')).toBe(0);
  expectations.expectCreation('c', 'lost');
  now = 1_001;
  expect(expectations.remainingMs('c')).toBe(0);
  expect(expired).toEqual(['c']);
});
