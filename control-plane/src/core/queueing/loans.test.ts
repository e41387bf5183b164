/** Work that borrows what other tenants of its cohort do not use. */
import { expect, test } from '@jest/globals';
import { minuteMs, Trial, tenant, workload } from './testing/trial.js';

test('quota that is kept for what others were stopped for is taken as soon as it is free, whoever else it is owed to', () => {
  const inCohort = (id: string, gpus: number) => tenant(id, { quota: { gpus }, cohort: 'c' });
  const tenants = [inCohort('owner', 2), inCohort('busy', 0), inCohort('eager', 0)];
  const { queue } = new Trial({ machines: [{ devices: 8 }], tenants });
  const decided = (atMs: number) => queue.decide(atMs).decisions.map(({ kind, id }) => `${kind} ${id}`);
  const borrower = (id: string, tenantId: string, priorityClass: 'low' | 'high' | 'urgent') =>
    workload(id, { tenantId, priorityClass, preemptible: true, expectedDurationMs: 600 * minuteMs });
  queue.submit(borrower('long', 'busy', 'high'));
  queue.submit(borrower('victim', 'busy', 'low'));
  expect(decided(0).sort()).toEqual(['admit long', 'admit victim']);
  queue.submit({ ...borrower('first', 'eager', 'urgent'), submittedAtMs: 1_000 });
  expect(decided(1_000)).toEqual(['stop victim']);
  // The owner wants its own back, of which nothing is free: before that has gone, nobody else borrows.
  queue.submit(workload('owed', { tenantId: 'owner', priorityClass: 'low', submittedAtMs: 2_000 }));
  expect(decided(2_000)).toEqual([]);
  queue.finished('long', 3_000);
  expect(queue.explain('first', 3_000).wait).toBeNull();
  expect(decided(3_000)).toEqual(['admit first']);
  queue.freed('victim', 4_000);
  expect(decided(4_000)).toEqual(['admit owed']);
});
