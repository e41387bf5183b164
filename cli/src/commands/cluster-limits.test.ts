import type { Cluster } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { limitLines, limitsOf } from './cluster-limits.js';

const now = Date.parse('2026-11-26T12:00:00Z');

test('limits are what the control plane takes, and only what is named', () => {
  expect(limitsOf({}, now)).toEqual({});
  expect(limitsOf({ budget: '50', until: '2026-12-01T00:00+01:00', priority: 'high', preemptible: true }, now)).toEqual(
    {
      budgetMicroUsd: 50_000_000,
      until: '2026-11-30T23:00:00.000Z',
      priority: 'high',
      preemptible: true,
    },
  );
  expect(limitsOf({ for: '8h' }, now)).toEqual({ until: '2026-11-26T20:00:00.000Z' });
  expect(limitsOf({ budget: 'none', until: 'none', preemptible: 'false' }, now)).toEqual({
    budgetMicroUsd: null,
    until: null,
    preemptible: false,
  });
});

test.each([
  [{ budget: 'much' }, '"much" is no amount of dollars'],
  [{ budget: '0' }, '--budget: it must be more than 0'],
  [{ until: '2026-12-01' }, '--until: "2026-12-01" is no time with its zone such as 2026-12-01T00:00Z'],
  [{ until: '2026-12-01T00:00Z', for: '1h' }, '--until and --for say the same'],
  [{ for: 'long' }, '"long" is no time'],
  [{ preemptible: 'perhaps' }, '--preemptible: expected true or false, not "perhaps"'],
])('%j is refused in one line', (options, words) => {
  expect(() => limitsOf(options, now)).toThrow(words);
});

test('a cluster shows what it costs, has cost and when that ends', () => {
  const cluster = {
    spec: { budgetMicroUsd: 50_000_000, until: null, priority: 'high', preemptible: true },
    microUsdPerHour: 2_500_000,
    spentMicroUsd: 1_250_000,
    endsAt: '2026-11-27T07:30:00.000Z',
  } as Cluster;
  expect(limitLines(cluster)).toEqual([
    ['price', '$2.50 an hour now, $1.25 spent of a budget of $50.00'],
    ['ends', '2026-11-27T07:30:00.000Z, when its budget is over'],
    ['priority', 'high, may be stopped for urgent work'],
  ]);
});
