import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { heldOf, heldUntil, type LeaseRecord, type Presence } from './availability.js';
import { both, lengthUntil, type Span, union, without } from './spans.js';

const patience = { heardMs: 3_500, answeredMs: 60_000 };
const always: Presence = { readyMs: 0, endMs: null, heardMs: 1e9, interruptions: [] };
const span = (fromMs: number, untilMs: number | null = null): Span => ({ fromMs, untilMs });
const lease = (changes: Partial<LeaseRecord> = {}): LeaseRecord => ({
  ...always,
  readyMs: 10_000,
  createdMs: 0,
  releasedMs: null,
  heads: [always],
  answeredMs: null,
  clusterInterruptions: [],
  ...changes,
});
const billable = (changes: Partial<LeaseRecord>, atMs = 100_000) =>
  heldUntil(heldOf(lease(changes), patience), atMs).billableMs;

describe('a renter pays for the time in which', () => {
  test('the Ray node was ready, though the lease was held for longer', () => {
    expect(heldUntil(heldOf(lease(), patience), 100_000)).toEqual({ allocatedMs: 100_000, billableMs: 90_000 });
    expect(billable({ readyMs: null })).toBe(0);
  });
  test('it had not ended and was not told to', () => expect(billable({ endMs: 30_000 })).toBe(20_000));
  test('its machine was not silent', () => {
    expect(billable({ interruptions: [span(20_000, 50_000)] })).toBe(60_000);
    expect(billable({ interruptions: [span(20_000)] })).toBe(10_000);
  });
  test('its machine is known to have been there', () => expect(billable({ heardMs: 40_000 })).toBe(30_000));
  test('it ended before the next sign of life was due', () => {
    expect(billable({ heardMs: 40_000, endMs: 43_000 })).toBe(33_000);
    expect(billable({ heardMs: 40_000, endMs: 44_000 })).toBe(30_000);
  });
  test('no check of its machine had failed', () => {
    expect(billable({ interruptions: [span(0, 15_000), span(90_000)] })).toBe(75_000);
  });
  test('a head was there', () => {
    expect(billable({ heads: [] })).toBe(0);
    const [first, second] = [
      { ...always, endMs: 20_000 },
      { ...always, readyMs: 60_000 },
    ];
    expect(billable({ heads: [first, second] })).toBe(50_000);
    expect(billable({ heads: [{ ...always, interruptions: [span(20_000, 30_000)] }] })).toBe(80_000);
  });
  test('the head answered', () => {
    expect(billable({ clusterInterruptions: [span(50_000, 75_000)] })).toBe(65_000);
    expect(billable({ answeredMs: 60_000 })).toBe(50_000);
    expect(billable({ answeredMs: 60_000, endMs: 70_000, releasedMs: 71_000 })).toBe(60_000);
  });
});

const anySpans = fc.array(
  fc
    .tuple(fc.integer({ min: 0, max: 1_000 }), fc.option(fc.integer({ min: 0, max: 500 })))
    .map(([from, length]) => span(from, length === null ? null : from + length)),
  { maxLength: 8 },
);
const isIn = (spans: readonly Span[], ms: number) =>
  spans.some(one => one.fromMs <= ms && ms < (one.untilMs ?? Number.POSITIVE_INFINITY));

test('spans are sets of moments', () => {
  fc.assert(
    fc.property(anySpans, anySpans, fc.integer({ min: 0, max: 2_000 }), (left, right, ms) => {
      expect(isIn(union(left), ms)).toBe(isIn(left, ms));
      expect(isIn(both(left, right), ms)).toBe(isIn(left, ms) && isIn(right, ms));
      expect(isIn(without(left, right), ms)).toBe(isIn(left, ms) && !isIn(right, ms));
      expect(lengthUntil(union([...left, ...left]), ms)).toBe(lengthUntil(union(left), ms));
    }),
  );
});

test('shown as a counter it never goes back while more becomes known, and is never more than what is held', () => {
  const times = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(times, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (steps, heard) => {
      let [nowMs, heardMs, before] = [0, 0, 0];
      const interruptions: Span[] = [];
      steps.forEach((step, index) => {
        nowMs += step;
        if (heard[index]) {
          if (nowMs - heardMs > patience.heardMs) interruptions.push(span(heardMs, nowMs));
          heardMs = nowMs;
        }
        const presence = { ...always, heardMs, interruptions: [...interruptions] };
        const held = heldUntil(heldOf(lease({ ...presence, heads: [presence] }), patience), nowMs);
        expect(held.billableMs).toBeGreaterThanOrEqual(before);
        expect(held.billableMs).toBeLessThanOrEqual(held.allocatedMs);
        before = held.billableMs;
      });
    }),
  );
});
