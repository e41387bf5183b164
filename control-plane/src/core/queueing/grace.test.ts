/** The grace of what was told to stop, over times at which nobody asked the queue. */
import { expect, test } from '@jest/globals';
import { minuteMs, Trial, tenant, workload } from './testing/trial.js';

test('work that was told to stop twice is ended by force once, however late anybody asks', () => {
  const trial = new Trial({ machines: [{ devices: 1 }], tenants: [tenant('t0')] });
  const { queue } = trial;
  const urgent = (id: string, submittedAtMs: number) => workload(id, { priorityClass: 'urgent', submittedAtMs });
  const decided = (atMs: number) => queue.decide(atMs).decisions.map(({ kind, id }) => `${kind} ${id}`);
  queue.submit(workload('low', { priorityClass: 'low', preemptible: true, expectedDurationMs: 600 * minuteMs }));
  expect(decided(0)).toEqual(['admit low']);
  queue.submit(urgent('first', 1_000));
  expect(decided(1_000)).toEqual(['stop low']);
  // It ends before its grace is over, and so does what it was stopped for: it runs again.
  queue.freed('low', 2_000);
  expect(decided(2_000)).toEqual(['admit first']);
  queue.finished('first', 3_000);
  expect(decided(3_000)).toEqual(['admit low']);
  queue.submit(urgent('second', 4_000));
  expect(decided(4_000)).toEqual(['stop low']);
  // Both graces are over by now.
  expect(decided(60 * minuteMs)).toEqual(['force low']);
  queue.freed('low', 60 * minuteMs);
  expect(decided(60 * minuteMs)).toEqual(['admit second']);
});
