/** Work of one lane that only its price wishes set apart. */
import { describe, expect, test } from '@jest/globals';
import { minuteMs, Trial, type TrialSetting, type TrialWorkload, tenant, workload } from './testing/trial.js';

const dayMs = 24 * 60 * minuteMs;
const untilMs = 5 * dayMs;
const setting: TrialSetting = { machines: [{ devices: 4 }], tenants: [tenant('t0'), tenant('t1')] };
/** Of what asks for all four devices, which cost 4 USD an hour. */
const tooLittle = { cheapWindow: { maxMicroUsdPerHour: 3_000_000 } } satisfies Partial<TrialWorkload>;

/** Small work of another tenant, which comes before the last has ended. */
const flood = (count: number) =>
  Array.from({ length: count }, (_, index) =>
    workload(`small${index}`, { tenantId: 't1', submittedAtMs: index * 3 * minuteMs }),
  );
const whole = (id: string, more: Partial<TrialWorkload> = {}) =>
  workload(id, { devices: 4, submittedAtMs: 2 * minuteMs, ...more });

function startOf(id: string, arrivals: TrialWorkload[], where = setting): number {
  const trial = new Trial(where);
  trial.run(arrivals, untilMs);
  return (trial.startedAtMs.get(id) ?? Number.POSITIVE_INFINITY) / minuteMs;
}

describe('behind work that waits for a price which is not to be had', () => {
  const wishes: [string, Partial<TrialWorkload>][] = [
    ['a cheap window', tooLittle],
    ['a budget', { budgetMicroUsd: 100_000 }],
  ];

  test.each(wishes)('what has no such wish gets its place while small work keeps coming: %s', (_, wish) => {
    const small = flood(600);
    const alone = startOf('whole', [...small, whole('whole')]);
    expect(alone).toBe(10);
    expect(startOf('whole', [...small, whole('cheap', { submittedAtMs: minuteMs, ...wish }), whole('whole')])).toBe(
      alone,
    );
  });

  test('what could pay more gets its place', () => {
    const cheap = whole('cheap', { submittedAtMs: minuteMs, budgetMicroUsd: 100_000 });
    expect(startOf('whole', [...flood(600), cheap, whole('whole', { budgetMicroUsd: 9_000_000 })])).toBe(10);
  });

  test.each(wishes)('what is urgent stops others: %s', (_, wish) => {
    const low = whole('low', {
      priorityClass: 'low',
      preemptible: true,
      submittedAtMs: 0,
      expectedDurationMs: 600 * minuteMs,
    });
    const urgent = whole('urgent', { priorityClass: 'urgent' });
    const cheap = { ...whole('cheap', { submittedAtMs: minuteMs, ...wish }), priorityClass: urgent.priorityClass };
    expect(startOf('urgent', [low, urgent])).toBe(2.25);
    expect(startOf('urgent', [low, cheap, urgent])).toBe(2.25);
  });

  test('what waits for what its tenant has lent calls it back', () => {
    const cohort = (id: string) => tenant(id, { quota: { gpus: 4 }, cohort: 'c' });
    const lends = { machines: [{ devices: 8 }], tenants: [cohort('t0'), cohort('t1')] };
    const borrower = (id: string) =>
      whole(id, { tenantId: 't1', preemptible: true, submittedAtMs: 0, expectedDurationMs: 600 * minuteMs });
    const cheap = whole('cheap', { submittedAtMs: minuteMs, ...tooLittle });
    expect(startOf('whole', [borrower('b0'), borrower('b1'), whole('whole')], lends)).toBe(2.25);
    expect(startOf('whole', [borrower('b0'), borrower('b1'), cheap, whole('whole')], lends)).toBe(2.25);
  });

  test('nothing of its tenant goes before it for ever', () => {
    const limited = { ...setting, tenants: [tenant('t0', { quota: { gpus: 4 } })] };
    const small = flood(600).map(one => ({ ...one, tenantId: 't0' }));
    const cheap = whole('cheap', { submittedAtMs: minuteMs, ...tooLittle });
    const eight = { machines: [{ devices: 8 }], tenants: limited.tenants };
    expect(startOf('whole', [...small, cheap, whole('whole')], eight)).toBe(10);
  });

  test('once the price falls, or its deadline forces it, it goes', () => {
    const trial = new Trial(setting);
    trial.run([whole('low', { submittedAtMs: 0 }), whole('cheap', { submittedAtMs: minuteMs, ...tooLittle })], dayMs);
    expect(trial.running.has('cheap')).toBe(false);
    const { wait } = trial.queue.explain('cheap', trial.nowMs);
    expect(wait).toMatchObject({ code: 'price', microUsdPerHour: 4_000_000 });
    trial.ground.setPrice('a', 500_000);
    trial.queue.groundChanged();
    trial.run([], trial.nowMs + trial.terms.priceLookMs);
    expect(trial.running.has('cheap')).toBe(true);

    const forced = whole('cheap', { submittedAtMs: minuteMs, deadlineMs: 40 * minuteMs, ...tooLittle });
    expect(startOf('cheap', [...flood(600), forced])).toBeLessThanOrEqual(40);
  });

  test('it is told so, also while there is no room', () => {
    const trial = new Trial(setting);
    trial.run([whole('first', { submittedAtMs: 0 }), whole('cheap', tooLittle), whole('next')], 5 * minuteMs);
    expect(trial.queue.explain('cheap', trial.nowMs)).toMatchObject({
      wait: { code: 'price', microUsdPerHour: null, maxMicroUsdPerHour: 3_000_000 },
      sentence: expect.stringContaining('3.00 USD'),
    });
    expect(trial.queue.explain('next', trial.nowMs)).toMatchObject({
      wait: { code: 'no-room' },
      expectedStartMs: 10 * minuteMs,
    });
  });
});

describe('behind work that waits for a cheap place in use', () => {
  const two = { ...setting, machines: [{ devices: 4, microUsdPerDeviceHour: 500_000 }, { devices: 4 }] };
  const cheap = whole('cheap', { submittedAtMs: minuteMs, ...tooLittle });

  test('what has no such wish gets another one while small work keeps coming', () => {
    const stays = whole('long', { tenantId: 't1', submittedAtMs: 0, expectedDurationMs: 2 * dayMs });
    const alone = startOf('whole', [stays, ...flood(600), whole('whole')], two);
    expect(alone).toBeLessThanOrEqual(20);
    expect(startOf('whole', [stays, ...flood(600), cheap, whole('whole')], two)).toBe(alone);
  });
});
