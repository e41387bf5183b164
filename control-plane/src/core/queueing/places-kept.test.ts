/** Places that are kept for who waits, and who may take them all the same. */
import { expect, test } from '@jest/globals';
import { minuteMs, Trial, tenant, workload } from './testing/trial.js';

test('work that comes to stand before what a place is kept for is looked at at once', () => {
  const { queue } = new Trial({ machines: [{ devices: 4 }], tenants: [tenant('modest'), tenant('greedy')] });
  const decided = (atMs: number) => queue.decide(atMs).decisions.map(({ kind, id }) => `${kind} ${id}`);
  const long = { expectedDurationMs: 600 * minuteMs };
  queue.submit(workload('runs', { tenantId: 'modest', devices: 1, ...long }));
  queue.submit(workload('runs too', { tenantId: 'greedy', devices: 2, ...long }));
  expect(decided(0)).toHaveLength(2);
  const older = { tenantId: 'greedy', submittedAtMs: 5 * minuteMs, expectedDurationMs: null };
  queue.submit(workload('kept for', { tenantId: 'modest', devices: 2, submittedAtMs: 10 * minuteMs }));
  queue.submit(workload('older', older));
  // Its tenant has half of everything: it stands behind.
  expect(decided(11 * minuteMs)).toEqual([]);
  expect(queue.explain('older', 11 * minuteMs).wait?.code).toBe('no-room');
  // There is so much more now that what its tenant has is little, and nothing else is changed.
  queue.setCapacity({ gpus: 4_000 });
  expect(queue.explain('older', 12 * minuteMs).wait).toBeNull();
  expect(decided(12 * minuteMs)).toEqual(['admit older']);
});
