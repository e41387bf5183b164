import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { costMicroUsd } from '../core/queueing/index.js';
import { courseOfEnd, endOf, graceMs, leastPaidMs, stoppingMs, unaffordable } from './ending.js';

const now = new Date('2026-11-26T12:00:00Z');
const at = (ms: number) => new Date(now.getTime() + ms);
const hourMs = 3_600_000;
const free = { spentMicroUsd: 0, microUsdPerHour: 0 };
const noLimits = { budgetMicroUsd: null, until: null };

describe('the end of a cluster', () => {
  test('is the first of its limits', () => {
    expect(endOf(noLimits, { spentMicroUsd: 5, microUsdPerHour: 5 }, now)).toBeNull();
    const limits = { budgetMicroUsd: 3_000_000, until: at(2 * hourMs).toISOString() };
    expect(endOf(limits, { ...free, microUsdPerHour: 1_000_000 }, now)).toMatchObject({
      at: at(2 * hourMs),
      reason: 'TimeOver',
    });
    expect(endOf(limits, { spentMicroUsd: 2_000_000, microUsdPerHour: 1_000_000 }, now)).toMatchObject({
      at: at(hourMs),
      reason: 'BudgetSpent',
      message: 'its budget of $3.00 is spent',
    });
  });

  test('is not in sight while what has a budget costs nothing, and is now once that is spent', () => {
    expect(endOf({ ...noLimits, budgetMicroUsd: 10 }, { spentMicroUsd: 9, microUsdPerHour: 0 }, now)).toBeNull();
    expect(endOf({ ...noLimits, budgetMicroUsd: 10 }, { spentMicroUsd: 10, microUsdPerHour: 0 }, now)?.at).toEqual(now);
  });

  test('comes in steps: jobs are asked to move, then it is stopped, before its time', () => {
    const end = endOf({ ...noLimits, until: at(hourMs).toISOString() }, free, now);
    const overAt = at(hourMs - stoppingMs);
    const leaveAt = at(hourMs - stoppingMs - graceMs);
    expect(courseOfEnd(end, now)).toEqual({ stage: 'on', overAt, lookAt: leaveAt });
    expect(courseOfEnd(end, leaveAt)).toEqual({ stage: 'leaving', overAt, lookAt: overAt });
    expect(courseOfEnd(end, overAt)).toMatchObject({ stage: 'over' });
    expect(courseOfEnd(null, now)).toBeNull();
  });
});

test('what a budget pays for too short a time is not started', () => {
  const budget = costMicroUsd(1_000_000, leastPaidMs);
  expect(unaffordable(null, free, 1_000_000)).toBeNull();
  expect(unaffordable(budget, free, 1_000_000)).toBeNull();
  expect(unaffordable(budget - 1, free, 1_000_000)).toMatch(/is left, which at \$1.00 an hour is too little/);
  expect(unaffordable(budget, { ...free, microUsdPerHour: 1_000 }, 1_000_000)).not.toBeNull();
});

/** A cluster of which leases come and go, looked at each second as by the sweep, until it is stopped. */
test('a budget is never passed, whatever starts and ends meanwhile', () => {
  const wish = fc.record({ atSecond: fc.nat(600), microUsdPerHour: fc.nat(50_000_000), ends: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3_000_000 }), fc.array(wish, { maxLength: 12 }), (budgetMicroUsd, wishes) => {
      let [price, owed, isOver] = [0, 0, false];
      const spent = () => Math.ceil(owed);
      for (let second = 0; second <= 700 && !isOver; second += 1) {
        for (const { microUsdPerHour, ends, atSecond } of wishes) {
          if (atSecond !== second) continue;
          if (ends) price = Math.max(0, price - microUsdPerHour);
          else if (
            unaffordable(budgetMicroUsd, { spentMicroUsd: spent(), microUsdPerHour: price }, microUsdPerHour) === null
          )
            price += microUsdPerHour;
        }
        const end = endOf(
          { ...noLimits, budgetMicroUsd },
          { spentMicroUsd: spent(), microUsdPerHour: price },
          at(second * 1_000),
        );
        isOver = courseOfEnd(end, at(second * 1_000))?.stage === 'over';
        // Its leases are held until the machine has confirmed that they ended.
        owed += (price * (isOver ? stoppingMs - 1_000 : 1_000)) / hourMs;
        expect(spent()).toBeLessThanOrEqual(budgetMicroUsd);
      }
    }),
  );
});
