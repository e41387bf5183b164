/** Short work of a tenant beside its gang that waits for quota. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { minuteMs, Trial, type TrialSetting, type TrialWorkload, tenant, workload } from './testing/trial.js';

const setting = (more: Parameters<typeof tenant>[1] = {}): TrialSetting => ({
  machines: [{ devices: 64 }],
  tenants: [tenant('t0', { quota: { gpus: 8 }, ...more }), tenant('t1', { quota: { gpus: 8 }, ...more })],
});
const starts = (arrivals: TrialWorkload[], where = setting()) => {
  const trial = new Trial(where);
  trial.run(arrivals, 10_000 * minuteMs);
  return (id: string) => (trial.startedAtMs.get(id) ?? Number.POSITIVE_INFINITY) / minuteMs;
};
const runs = workload('runs', { devices: 2, expectedDurationMs: 60 * minuteMs });
const gang = workload('gang', { devices: 8, submittedAtMs: minuteMs });
const late = (id: string, minutes: number | null, more: Partial<TrialWorkload> & { devices?: number } = {}) =>
  workload(id, {
    submittedAtMs: 2 * minuteMs,
    expectedDurationMs: minutes === null ? null : minutes * minuteMs,
    ...more,
  });

describe('behind a gang that waits for quota of its own tenant', () => {
  test('what ends before its turn goes, and the gang starts as if nothing had', () => {
    const at = starts([runs, gang, late('short', 15), late('just', 58), late('long', 59)]);
    expect([at('short'), at('just')]).toEqual([2, 2]);
    expect(at('gang')).toBe(60);
    expect(at('long')).toBeGreaterThan(60);
  });

  test('it is said to have gone before its turn, and who waits is told why', () => {
    const { queue } = new Trial(setting());
    for (const one of [runs, gang]) queue.submit(one);
    queue.decide(2 * minuteMs);
    for (const one of [late('short', 15), late('long', 61)]) queue.submit(one);
    expect(queue.explain('short', 2 * minuteMs).wait).toBeNull();
    expect(queue.explain('long', 2 * minuteMs).wait).toEqual({ code: 'behind-quota', behind: 'gang' });
    const { decisions } = queue.decide(2 * minuteMs);
    expect(decisions).toMatchObject([{ kind: 'admit', id: 'short', backfills: true, borrows: false }]);
  });

  test('what may last for ever waits, and so does all where what runs may', () => {
    expect(starts([runs, gang, late('endless', null)])('endless')).toBeGreaterThan(60);
    const endless = workload('endless', { devices: 2, expectedDurationMs: null });
    expect(starts([endless, gang, late('short', 5)])('short')).toBeGreaterThan(30);
  });

  test('no more goes than the quota has room for', () => {
    const at = starts([runs, gang, ...[1, 2, 3].map(n => late(`short${n}`, 20, { devices: 3 }))]);
    expect([at('short1'), at('short2'), at('short3')]).toEqual([2, 2, 22]);
    expect(at('gang')).toBe(60);
  });

  test('nothing is borrowed past it', () => {
    const preemptible = { preemptible: true };
    const wide = workload('wide', { devices: 9, expectedDurationMs: 60 * minuteMs, ...preemptible });
    const at = starts([wide, gang, late('short', 15, preemptible)], setting({ cohort: 'c' }));
    expect(at('short')).toBeGreaterThanOrEqual(60);
  });

  test('what waits for its price stands in the way of nothing', () => {
    const dear = late('dear', 15, { id: 'dear', cheapWindow: { maxMicroUsdPerHour: 1 } });
    expect(starts([runs, gang, dear, late('short', 15, { budgetMicroUsd: 9_000_000 })])('short')).toBe(2);
  });

  test('whatever comes later, the gang starts when it would have without', () => {
    const minutes = fc.integer({ min: 1, max: 90 });
    const one = fc.record({ devices: fc.integer({ min: 1, max: 4 }), lasts: minutes, comes: minutes });
    const first = fc.record({ devices: fc.integer({ min: 1, max: 3 }), lasts: minutes });
    fc.assert(
      fc.property(
        fc.array(first, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 4, max: 8 }),
        fc.array(one, { maxLength: 12 }),
        (before, devices, after) => {
          const early = before.map((each, index) =>
            workload(`early${index}`, { devices: each.devices, expectedDurationMs: each.lasts * minuteMs }),
          );
          const waits = workload('gang', { devices, submittedAtMs: minuteMs });
          const later = after.map((each, index) =>
            workload(`later${index}`, {
              devices: each.devices,
              submittedAtMs: (1 + each.comes) * minuteMs,
              expectedDurationMs: each.lasts * minuteMs,
            }),
          );
          expect(starts([...early, waits, ...later])('gang')).toBe(starts([...early, waits])('gang'));
        },
      ),
    );
  });
});
