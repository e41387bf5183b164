import { maxTelemetrySamples } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TelemetryBuffer } from './buffer.js';

const sample = { machine: {} as never, devices: [], leases: [] };
const numbers = (buffer: TelemetryBuffer, nowMs = 0) => buffer.next(nowMs).map(({ sequence }) => sequence);

test('what is not on record is sent again, the oldest first, with its age', () => {
  const buffer = new TelemetryBuffer(10);
  buffer.add(sample, 1_000);
  buffer.add(sample, 2_000);
  expect(buffer.next(5_000).map(({ sequence, ageMs }) => [sequence, ageMs])).toEqual([
    [1, 4_000],
    [2, 3_000],
  ]);
  buffer.recorded(1);
  expect(numbers(buffer)).toEqual([2]);
});

test('of any course of samples and confirmations none is lost unconfirmed but the oldest beyond its capacity', () => {
  const step = fc.oneof(fc.constant('add' as const), fc.integer({ min: 0, max: 400 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 100 }), (steps, capacity) => {
      const buffer = new TelemetryBuffer(capacity);
      let [added, confirmed] = [0, 0];
      for (const what of steps) {
        if (what === 'add') {
          buffer.add(sample, 0);
          added += 1;
        } else {
          confirmed = Math.max(confirmed, Math.min(what, added));
          buffer.recorded(Math.min(what, added));
        }
        const expected = Array.from({ length: added }, (_, index) => index + 1).slice(-capacity);
        const open = expected.filter(number => number > confirmed);
        expect(buffer.size).toBe(open.length);
        expect(numbers(buffer)).toEqual(open.slice(0, maxTelemetrySamples));
      }
    }),
  );
});
