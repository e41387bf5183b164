import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { curveOf } from './curve.js';
import { sharesOf } from './shares.js';
import { usageOf } from './usage.js';
import { type Amounts, combine, linesFor, nothing, windowsIn } from './windows.js';

const hourMs = 3_600_000;
const amounts = fc.record(
  Object.fromEntries(Object.keys(nothing).map(kind => [kind, fc.integer({ min: 0, max: 1e9 })])),
) as unknown as fc.Arbitrary<Amounts>;

test('windows are hours of UTC, the first and the last of them partly used', () => {
  expect(windowsIn(hourMs + 1, 3 * hourMs + 1, hourMs)).toEqual([hourMs, 2 * hourMs, 3 * hourMs]);
  expect(windowsIn(hourMs, 2 * hourMs, hourMs)).toEqual([hourMs]);
  expect(windowsIn(hourMs, hourMs, hourMs)).toEqual([]);
});

test('whatever was booked, lines bring it to what is known; the same again brings none', () => {
  fc.assert(
    fc.property(fc.array(amounts, { minLength: 1, maxLength: 6 }), versions => {
      let booked = new Map<number, { revision: number; amounts: Amounts }>();
      versions.forEach(known => {
        for (const line of linesFor(new Map([[0, known]]), booked)) {
          const before = booked.get(0);
          expect(line.revision).toBe(before ? before.revision + 1 : 0);
          booked = new Map([
            [0, { revision: line.revision, amounts: combine(before?.amounts ?? nothing, line.amounts, 1) }],
          ]);
        }
        expect(linesFor(new Map([[0, known]]), booked)).toEqual([]);
      });
      if (booked.size > 0) expect(booked.get(0)?.amounts).toEqual(versions.at(-1));
    }),
  );
});

test('usage of all windows is what the counters and the events came to', () => {
  const told = fc.record({
    fromMs: fc.integer({ min: 0, max: 3 * hourMs }),
    lengthMs: fc.integer({ min: 1, max: hourMs }),
    egressBytes: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(told, { maxLength: 5 }), fc.nat(), fc.integer({ min: 0, max: 8 }), (events, cpu, devices) => {
      const curve = (value: number) =>
        curveOf([{ atMs: 2.5 * hourMs, value }], { fromMs: hourMs / 3, untilMs: null }, 1e9);
      const counters = {
        ...{ allocatedMs: curve(5_000), billableMs: curve(4_000), cpuMs: curve(cpu), mibSeconds: curve(7) },
        egressBytes: curve(11),
      };
      const list = events.map(({ fromMs, lengthMs, egressBytes }) => {
        return { fromMs, untilMs: fromMs + lengthMs, cpuMs: 0, mibSeconds: 0, egressBytes };
      });
      const found = usageOf(windowsIn(0, 4 * hourMs, hourMs), hourMs, devices, counters, list);
      const sum = [...found.values()].reduce((total, one) => combine(total, one, 1), nothing);
      expect(sum).toEqual({
        ...{
          allocatedMs: 5_000,
          billableMs: 4_000,
          deviceAllocatedMs: devices * 5_000,
          deviceBillableMs: devices * 4_000,
        },
        ...{ cpuMs: cpu, mibSeconds: 7, egressBytes: 11 + events.reduce((total, one) => total + one.egressBytes, 0) },
      });
    }),
  );
});

test('shares of jobs are whole and come to what is shared', () => {
  const run = fc.record({
    job: fc.constantFrom('a', 'b', 'c'),
    startedMs: fc.integer({ min: 0, max: 2 * hourMs }),
    endedMs: fc.option(fc.integer({ min: 0, max: 2 * hourMs })),
  });
  fc.assert(
    fc.property(amounts, fc.array(run, { maxLength: 6 }), (used, runs) => {
      const shares = [...sharesOf(used, 0, hourMs, runs).values()];
      expect(shares.reduce((total, one) => combine(total, one, 1), nothing)).toEqual(used);
      expect(shares.every(share => Object.values(share).every(value => Number.isInteger(value) && value >= 0))).toBe(
        true,
      );
    }),
  );
  const used = { ...nothing, billableMs: 90 };
  const runs = [
    { job: 'a', startedMs: 0, endedMs: hourMs / 3 },
    { job: 'b', startedMs: hourMs / 3, endedMs: null },
  ];
  expect([...sharesOf(used, 0, hourMs, runs)].map(([job, { billableMs }]) => [job, billableMs])).toEqual([
    ['a', 30],
    ['b', 60],
  ]);
  expect([...sharesOf(used, 0, hourMs, []).keys()]).toEqual(['']);
});
