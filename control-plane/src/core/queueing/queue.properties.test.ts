/** What the queue promises, whatever comes. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { costMicroUsd, overtakingLimitMs, priorityClasses } from './index.js';
import { minuteMs, Trial, type TrialSetting, type TrialWorkload, tenant, workload } from './testing/trial.js';

const hourMs = 60 * minuteMs;
/** Everything that the scenes hold is over long before. */
const farMs = 100 * hourMs;

const anyWorkload = (tenants: number) =>
  fc.record({
    tenant: fc.nat(tenants - 1),
    priorityClass: fc.constantFrom(...priorityClasses),
    submittedAtMs: fc.nat(20).map(count => count * 3 * minuteMs),
    kind: fc.constantFrom('a', 'a', 'b'),
    devices: fc.constantFrom(1, 1, 2, 4),
    workers: fc.constantFrom(1, 1, 1, 2, 3),
    preemptible: fc.constantFrom(true, true, false),
    minutes: fc.constantFrom(1, 5, 20, 60, null),
    budget: fc.option(fc.integer({ min: 50_000, max: 4_000_000 }), { nil: null, freq: 4 }),
    cheap: fc.option(fc.integer({ min: 500_000, max: 6_000_000 }), { nil: null, freq: 4 }),
    deadlineMinutes: fc.integer({ min: 30, max: 600 }),
  });

const workloadsOf = (tenants: number, maxLength = 30) =>
  fc.array(anyWorkload(tenants), { minLength: 1, maxLength, size: 'max' }).map(all =>
    all.map((one, index) =>
      workload(`w${String(index).padStart(2, '0')}`, {
        tenantId: `t${one.tenant}`,
        priorityClass: one.priorityClass,
        submittedAtMs: one.submittedAtMs,
        kind: one.kind,
        devices: one.devices,
        workers: one.workers,
        preemptible: one.preemptible,
        expectedDurationMs: one.minutes === null ? null : one.minutes * minuteMs,
        budgetMicroUsd: one.budget,
        cheapWindow: one.cheap === null ? null : { maxMicroUsdPerHour: one.cheap },
        deadlineMs: one.cheap === null ? null : one.submittedAtMs + one.deadlineMinutes * minuteMs,
      }),
    ),
  );

const quotas = fc.array(
  fc.record({
    gpus: fc.constantFrom(1, 4, 8),
    limit: fc.constantFrom<number | null>(null, 0, 2, 6),
    cohort: fc.constantFrom<string | null>('c', 'c', null),
    weight: fc.constantFrom(1, 2, 5),
    unlimited: fc.boolean(),
  }),
  { minLength: 4, maxLength: 4 },
);

const settings = fc
  .record({
    machines: fc
      .array(fc.record({ kind: fc.constantFrom('a', 'b'), devices: fc.constantFrom(2, 4, 8) }), { maxLength: 3 })
      .map(more => [{ kind: 'a', devices: 4 }, ...more]),
    quotas,
    stopsAfter: fc.constantFrom(0, 0.5, 1),
    maxReservations: fc.constantFrom(1, 2, 4),
  })
  .map(
    ({ machines, quotas: each, stopsAfter, maxReservations }): TrialSetting => ({
      machines,
      stopsAfter,
      // What waits for a price that never comes would look each minute until the end.
      terms: { maxReservations, priceLookMs: 5 * hourMs, loanPatienceMs: 10 * minuteMs },
      tenants: each.map(({ gpus, limit, cohort, weight, unlimited }, index) =>
        tenant(`t${index}`, {
          weight,
          quota: unlimited ? null : { gpus },
          cohort: unlimited ? null : cohort,
          borrowingLimit: limit === null ? {} : { gpus: limit },
        }),
      ),
    }),
  );

const scene = fc.tuple(settings, workloadsOf(4));
const runs = { numRuns: 120 };

function play([setting, workloads]: [TrialSetting, TrialWorkload[]], watch: (trial: Trial) => void = () => undefined) {
  const trial = new Trial(setting);
  watch(trial);
  trial.run(workloads, farMs);
  return trial;
}

const gpusOf = (one: TrialWorkload) => one.request.workers * one.request.devicesEach;

describe('the queue', () => {
  test('lets everything run that can run and that its budget and price allow', () => {
    fc.assert(
      fc.property(scene, input => {
        const trial = play(input);
        for (const id of trial.queued()) {
          const one = trial.all.get(id) as TrialWorkload;
          const { wait } = trial.queue.explain(id, trial.nowMs);
          // What it may cost, or a machine that does not exist, or a loan that its cohort can never give.
          expect([id, wait?.code]).toEqual([
            id,
            trial.possible(one) ? expect.stringMatching(/^(budget|loan)$/) : 'no-room',
          ]);
        }
      }),
      runs,
    );
  });

  test('lets everything run where all is alike, some waits for a price, and some is stopped for others', () => {
    let preempted = 0;
    const alike = fc.array(
      fc.record({
        urgent: fc.boolean(),
        submitted: fc.nat(60),
        minutes: fc.constantFrom(5, 60, 200),
        slackMinutes: fc.option(fc.integer({ min: 10, max: 300 }), { nil: null }),
      }),
      { minLength: 3, maxLength: 8 },
    );
    fc.assert(
      fc.property(alike, fc.boolean(), (all, limited) => {
        const trial = new Trial({
          machines: [{ devices: 4 }],
          tenants: ['t0', 't1'].map(id => tenant(id, limited ? { quota: { gpus: 2 }, cohort: 'c' } : {})),
          // What waits for a price looks again while others are still being stopped.
          terms: { graceMs: 10 * minuteMs, priceLookMs: 15 * minuteMs, loanPatienceMs: 10 * minuteMs },
          stopsAfter: 1,
        });
        const arrivals = all.map(({ urgent, submitted, minutes, slackMinutes }, index) =>
          workload(`w${index}`, {
            tenantId: urgent ? 't0' : 't1',
            priorityClass: urgent ? 'urgent' : 'low',
            submittedAtMs: submitted * minuteMs,
            devices: 4,
            preemptible: true,
            expectedDurationMs: urgent ? null : minutes * minuteMs,
            cheapWindow: slackMinutes === null ? null : { maxMicroUsdPerHour: 3_000_000 },
            deadlineMs: slackMinutes === null ? null : (submitted + minutes + slackMinutes) * minuteMs,
          }),
        );
        trial.run(arrivals, farMs);
        preempted += trial.decisions.filter(({ kind }) => kind === 'stop').length;
        expect(trial.queued()).toEqual([]);
      }),
      { numRuns: 300 },
    );
    expect(preempted).toBeGreaterThan(20);
  });

  test('decides of others as if what can never pay were not there', () => {
    const wishes = fc.array(fc.constantFrom('window', 'budget', null), { minLength: 30, maxLength: 30 });
    let decided = 0;
    fc.assert(
      fc.property(scene, wishes, ([setting, workloads], all) => {
        // Each stands in front of one that differs from it in nothing else.
        const neverPay = workloads.flatMap((one, index): TrialWorkload[] => {
          const id = `never ${one.id}`;
          const wish = all[index] ?? null;
          const budgetMicroUsd = wish === 'budget' ? 1 : null;
          const cheapWindow = wish === 'window' ? { maxMicroUsdPerHour: 1 } : null;
          return wish === null ? [] : [{ ...one, id, deadlineMs: null, budgetMicroUsd, cheapWindow }];
        });
        const isOther = ({ id }: { id: string }) => !id.startsWith('never ');
        // One machine, and nobody stops others: which of two equal machines is taken, and when victims are searched for
        // again, depends on how often is looked. So does, where loans have a limit, when who waits to borrow is seen to
        // wait for its own tenant's work instead.
        const tenants = setting.tenants.map(each => ({ ...each, borrowingLimit: {} }));
        const one = { ...setting, tenants, machines: [{ devices: 8 }], terms: { ...setting.terms, preempting: [] } };
        // Last of what comes at one time: each step lets what is due at that time go.
        const { decisions } = play([one, [...workloads, ...neverPay]]);
        const without = play([one, workloads]).decisions;
        expect(decisions.filter(isOther)).toEqual(without);
        decided += without.length;
      }),
      { numRuns: 300 },
    );
    expect(decided).toBeGreaterThan(1_000);
  });

  test('has a reason for each workload that waits, and says of new work what it then decides', () => {
    fc.assert(
      fc.property(scene, ([setting, workloads]) => {
        const trial = new Trial(setting);
        trial.onSettled = () => {
          for (const id of trial.queued())
            expect([id, trial.queue.explain(id, trial.nowMs).wait]).not.toEqual([id, null]);
        };
        for (const one of [...workloads].sort((a, b) => a.submittedAtMs - b.submittedAtMs)) {
          trial.run([], one.submittedAtMs);
          trial.nowMs = Math.max(trial.nowMs, one.submittedAtMs);
          trial.step();
          if (!trial.submit(one)) continue;
          const { wait } = trial.queue.explain(one.id, trial.nowMs);
          trial.step();
          expect([one.id, trial.running.has(one.id)]).toEqual([one.id, wait === null]);
        }
        trial.run([], farMs);
      }),
      runs,
    );
  });

  test('keeps each tenant within its quota and loans, and each cohort within what it has', () => {
    fc.assert(
      fc.property(scene, input => {
        const [{ tenants }] = input;
        play(input, trial => {
          trial.onSettled = () => {
            const used = (ids: string[], preemptible: boolean[]) =>
              [...trial.running.keys()]
                .map(id => trial.all.get(id) as TrialWorkload)
                .filter(one => ids.includes(one.tenantId) && preemptible.includes(one.preemptible))
                .reduce((sum, one) => sum + gpusOf(one), 0);
            const limited = tenants.filter(({ quota }) => quota !== null);
            for (const { tenantId, quota, cohort, borrowingLimit } of limited) {
              const own = quota?.gpus ?? 0;
              const loan = cohort === null ? 0 : (borrowingLimit.gpus ?? Number.POSITIVE_INFINITY);
              expect(used([tenantId], [true, false])).toBeLessThanOrEqual(own + loan);
              expect(used([tenantId], [false])).toBeLessThanOrEqual(own);
            }
            const lenders = limited.filter(({ cohort }) => cohort === 'c');
            const together = lenders.reduce((sum, { quota }) => sum + (quota?.gpus ?? 0), 0);
            expect(
              used(
                lenders.map(({ tenantId }) => tenantId),
                [true, false],
              ),
            ).toBeLessThanOrEqual(together);
          };
        });
      }),
      runs,
    );
  });

  test('never lets anything cost more than its budget', () => {
    fc.assert(
      fc.property(fc.tuple(settings, workloadsOf(4)), input => {
        const spent = new Map<string, number>();
        const trial = play(input, watched => {
          watched.onSettled = () => {
            for (const [id, { budgetMicroUsd }] of watched.all) {
              if (budgetMicroUsd === null || watched.queue.stateOf(id) === null) continue;
              spent.set(id, watched.queue.spentMicroUsd(id, watched.nowMs));
              expect(spent.get(id)).toBeLessThanOrEqual(budgetMicroUsd);
            }
          };
        });
        // What was held, reckoned from the outside.
        const sums = new Map<string, number>();
        const since = new Map<string, { atMs: number; price: number }>();
        for (const decision of trial.decisions) {
          if (decision.kind !== 'admit') continue;
          since.set(decision.id, { atMs: decision.atMs, price: decision.placement.microUsdPerHour });
        }
        for (const [id, endedAtMs] of trial.ended) {
          const last = since.get(id);
          if (!last) continue;
          sums.set(id, costMicroUsd(last.price, endedAtMs - last.atMs));
          expect(sums.get(id)).toBeLessThanOrEqual(trial.all.get(id)?.budgetMicroUsd ?? Number.POSITIVE_INFINITY);
        }
      }),
      runs,
    );
  });

  test('stops only preemptible work, of a lower class, or of a borrower of no higher one', () => {
    let stopped = 0;
    fc.assert(
      fc.property(scene, input => {
        play(input, trial => {
          trial.onDecision = decision => {
            if (decision.kind !== 'stop' || decision.why === 'budget') return;
            stopped += 1;
            const victim = trial.all.get(decision.id) as TrialWorkload;
            const winner = trial.all.get(decision.forId ?? '') as TrialWorkload;
            const [low, high] = [victim, winner].map(one => priorityClasses.indexOf(one.priorityClass)) as [
              number,
              number,
            ];
            expect(victim.preemptible).toBe(true);
            if (decision.why === 'reclaimed' && winner.priorityClass !== 'urgent') {
              expect(low).toBeLessThanOrEqual(high);
              expect(winner.tenantId).not.toBe(victim.tenantId);
            } else expect(low).toBeLessThanOrEqual(decision.why === 'reclaimed' ? high : high - 1);
          };
        });
      }),
      runs,
    );
    expect(stopped).toBeGreaterThan(10);
  });

  test('stops no more than it must', () => {
    let several = 0;
    const simple = fc.tuple(
      fc.integer({ min: 4, max: 12 }),
      fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 10 }),
      fc.integer({ min: 1, max: 8 }),
    );
    fc.assert(
      fc.property(simple, ([devices, sizes, wanted]) => {
        const trial = new Trial({ machines: [{ devices }], tenants: [tenant('t0')] });
        for (const [index, size] of sizes.entries()) {
          trial.submit(workload(`w${index}`, { devices: 1, workers: size, preemptible: true }));
        }
        trial.step();
        const free =
          devices - [...trial.running.keys()].reduce((sum, id) => sum + gpusOf(trial.all.get(id) as TrialWorkload), 0);
        if (wanted > devices) return;
        trial.nowMs = minuteMs;
        trial.submit(workload('urgent', { workers: wanted, priorityClass: 'urgent', submittedAtMs: minuteMs }));
        trial.step();
        const victims = trial.decisions
          .filter(({ kind }) => kind === 'stop')
          .map(({ id }) => gpusOf(trial.all.get(id) as TrialWorkload));
        const sum = victims.reduce((total, size) => total + size, 0);
        if (victims.length > 1) several += 1;
        expect(free + sum).toBeGreaterThanOrEqual(wanted);
        for (const spared of victims) expect(free + sum - spared).toBeLessThan(wanted);
      }),
      { numRuns: 500 },
    );
    expect(several).toBeGreaterThan(20);
  });

  test('gives the same decisions for the same calls', () => {
    fc.assert(
      fc.property(scene, input => expect(play(input).decisions).toEqual(play(input).decisions)),
      { numRuns: 100 },
    );
  });

  test('never delays what has a place reserved by what it lets go before it', () => {
    let backfilled = 0;
    // One tenant, one class, ends that are known: nobody has a right to go before.
    const equals = fc.tuple(
      fc.array(fc.constantFrom(2, 4, 8), { minLength: 1, maxLength: 3 }),
      fc.array(
        fc.tuple(fc.nat(20), fc.constantFrom(1, 2, 4), fc.constantFrom(1, 1, 2, 3), fc.constantFrom(1, 7, 30, 60)),
        {
          maxLength: 30,
        },
      ),
      fc.constantFrom(1, 3),
    );
    fc.assert(
      fc.property(equals, ([machines, all, maxReservations]) => {
        const trial = new Trial({
          machines: machines.map(devices => ({ devices })),
          tenants: [tenant('t0')],
          terms: { maxReservations },
        });
        const promised = new Map<string, number>();
        trial.onSettled = () => {
          // The first in the order has a promise; for those behind it a place is kept as long as it can be.
          const first = trial.queue.queued()[0];
          if (!first || promised.has(first.id)) return;
          const { expectedStartMs } = trial.queue.explain(first.id, trial.nowMs);
          if (expectedStartMs !== null) promised.set(first.id, expectedStartMs);
        };
        const arrivals = all.map(([at, devices, workers, minutes], index) =>
          workload(`w${String(index).padStart(2, '0')}`, {
            submittedAtMs: at * minuteMs,
            devices,
            workers,
            expectedDurationMs: minutes * minuteMs,
          }),
        );
        trial.run(arrivals, farMs);
        backfilled += trial.decisions.filter(decision => decision.kind === 'admit' && decision.backfills).length;
        for (const id of promised.keys()) expect([id, trial.startedAtMs.get(id)]).toEqual([id, expect.any(Number)]);
        for (const [id, byMs] of promised) expect(trial.startedAtMs.get(id)).toBeLessThanOrEqual(byMs);
      }),
      { numRuns: 500 },
    );
    expect(backfilled).toBeGreaterThan(20);
  });

  test('starves nobody: what comes long enough after never goes first, however much of it there is', () => {
    const flood = fc.tuple(
      fc.constantFrom('low' as const, 'normal' as const, 'high' as const),
      fc.integer({ min: 1, max: 4 }),
      fc.array(
        fc.tuple(fc.constantFrom(...priorityClasses), fc.integer({ min: 1, max: 4 }), fc.constantFrom(5, 20, 60)),
        {
          minLength: 5,
          maxLength: 8,
        },
      ),
    );
    fc.assert(
      fc.property(flood, ([priorityClass, workers, kinds]) => {
        const headStartMs = { low: 0, normal: hourMs, high: 2 * hourMs, urgent: 4 * hourMs };
        const terms = { order: { headStartMs, fairnessMs: hourMs }, maxReservations: 1 };
        const trial = new Trial({ machines: [{ devices: 4 }], tenants: [tenant('t0'), tenant('t1')], terms });
        const one = workload('patient', {
          priorityClass,
          workers,
          submittedAtMs: minuteMs,
          expectedDurationMs: hourMs,
        });
        const others = Array.from({ length: 150 }, (_, index) => {
          const [otherClass, otherWorkers, minutes] = kinds[index % kinds.length] as (typeof kinds)[number];
          return workload(`other${String(index).padStart(3, '0')}`, {
            tenantId: 't1',
            priorityClass: otherClass,
            workers: otherWorkers,
            // More than there is room for, from before it until long after.
            submittedAtMs: Math.max(0, index - 10) * 5 * minuteMs,
            expectedDurationMs: minutes * minuteMs,
          });
        });
        trial.run([one, ...others], farMs);
        const limitMs = minuteMs + overtakingLimitMs(priorityClass, terms.order);
        const startedAtMs = trial.startedAtMs.get('patient') ?? Number.POSITIVE_INFINITY;
        const before = others.filter(other => other.submittedAtMs <= limitMs);
        const workMs = before.reduce((sum, other) => sum + (other.expectedDurationMs ?? 0), 0);
        expect(startedAtMs).toBeLessThanOrEqual(limitMs + workMs + hourMs);
        // No later one went first that asked for as much, but into a place kept for others, to be gone before they come.
        for (const decision of trial.decisions) {
          const other = trial.all.get(decision.id) as TrialWorkload;
          if (decision.kind !== 'admit' || decision.atMs >= startedAtMs || other.submittedAtMs <= limitMs) continue;
          if (gpusOf(other) >= workers) expect([other.id, decision.backfills]).toEqual([other.id, true]);
        }
      }),
      { numRuns: 50 },
    );
  });
});
