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

test('who has quota and a place kept for it goes, whoever of its kind has come before it since', () => {
  const { queue } = new Trial({
    machines: [{ devices: 4 }],
    tenants: [tenant('full', { quota: { gpus: 3 } }), tenant('other')],
  });
  const decided = (atMs: number) => queue.decide(atMs).decisions.map(({ kind, id }) => `${kind} ${id}`);
  queue.submit(workload('short', { tenantId: 'other', devices: 3 }));
  queue.submit(workload('long', { tenantId: 'full', expectedDurationMs: 600 * minuteMs }));
  expect(decided(0)).toHaveLength(2);
  queue.submit(workload('kept for', { tenantId: 'full', devices: 2, submittedAtMs: 2 * minuteMs }));
  expect(decided(2 * minuteMs)).toEqual([]);
  // It needs the whole quota of its tenant, for which later work of the tenant has to wait.
  const urgent = { tenantId: 'full', priorityClass: 'urgent', devices: 3, submittedAtMs: 3 * minuteMs } as const;
  queue.submit(workload('urgent', urgent));
  queue.submit(workload('older', { tenantId: 'full', devices: 2, submittedAtMs: minuteMs }));
  expect(decided(3 * minuteMs)).toEqual([]);
  expect(queue.explain('older', 3 * minuteMs).wait?.code).toBe('behind-quota');
  queue.finished('short', 10 * minuteMs);
  expect(decided(10 * minuteMs)).toEqual(['admit kept for']);
});
