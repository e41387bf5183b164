import { expect, test } from '@jest/globals';
import { EmissionSchedule, hoursPerMonth, publishedEmission } from './emission.js';

const schedule = new EmissionSchedule(publishedEmission);
const unitsPerIo = 10n ** 8n;
const cents = (units: bigint) => Number((units + 500_000n) / 1_000_000n) / 100;

test('the first three hours are those that io.net publishes', () => {
  expect([1, 2, 3].map(hour => cents(schedule.amount(hour)))).toEqual([4566.21, 4566.15, 4566.08]);
  expect([1, 2, 3].map(hour => schedule.amount(hour))).toEqual([456_621_004_566n, 456_614_591_665n, 456_608_178_854n]);
});

test('over all 175,320 hours it never rises, never falls to nothing, and stays below 300 and 800 million', () => {
  let total = 0n;
  let before = schedule.amount(1);
  for (let hour = 1; hour <= publishedEmission.hours; hour += 1) {
    const amount = schedule.amount(hour);
    total += amount;
    if (amount > before || amount <= 0n || total !== schedule.through(hour)) throw new Error(`hour ${hour}: ${amount}`);
    if (total > 300_000_000n * unitsPerIo) throw new Error(`hour ${hour} passes 300,000,000`);
    before = amount;
  }
  expect(publishedEmission.initialSupply + total).toBeLessThanOrEqual(800_000_000n * unitsPerIo);
  expect(total).toBe(29_741_526_171_734_725n);
  expect(schedule.amount(publishedEmission.hours + 1)).toBe(0n);
});

/** x = ⌊E · k^(m/730)⌋ exactly if x^730 ≤ E^730 · k^m < (x + 1)^730: whole numbers alone. */
test('an hour’s amount is the exact power, rounded down', () => {
  const { initialSupply, firstYearPpm, monthlyDeclinePpm } = publishedEmission;
  const million = 1_000_000n;
  const degree = BigInt(hoursPerMonth);
  const first = initialSupply * firstYearPpm;
  const divisor = 8_760n * million;
  for (const hour of [1, 2, 3, 729, 730, 731, 732, 1_461, 8_761, 20_000, 43_801]) {
    const at = BigInt(hour - 1);
    const exact = first ** degree * (million - monthlyDeclinePpm) ** at;
    const whole = (x: bigint) => (x * divisor) ** degree * million ** at;
    const amount = schedule.amount(hour);
    expect([hour, whole(amount) <= exact, exact < whole(amount + 1n)]).toEqual([hour, true, true]);
  }
});

test('a month is a decline of 1.02 %, twelve are about 12 %, and the last year’s rate is near 0.68 % of the initial supply', () => {
  const ppmOf = (from: number, to: number) => Number((schedule.amount(to) * 1_000_000n) / schedule.amount(from));
  expect(ppmOf(1, 731)).toBe(989_799);
  expect(ppmOf(1, 8_761)).toBe(884_238);
  const last = publishedEmission.hours;
  const yearly = schedule.amount(last) * 8_760n * 1_000_000n;
  expect(Number(yearly / publishedEmission.initialSupply)).toBe(6_819);
  expect(Number(yearly / (publishedEmission.initialSupply + schedule.through(last)))).toBe(4_275);
});

test('a schedule that would pass the cap stops at it, to the unit', () => {
  const small = new EmissionSchedule({
    ...publishedEmission,
    cap: publishedEmission.initialSupply + 1_000_000_000_000n,
  });
  expect([1, 2, 3, 4].map(hour => small.amount(hour))).toEqual([
    456_621_004_566n,
    456_614_591_665n,
    86_764_403_769n,
    0n,
  ]);
  expect(small.through(publishedEmission.hours)).toBe(1_000_000_000_000n);
});
