/** What invoices promise, whatever was charged and in whatever pieces. */
import type { Asset, LeaseId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  beginOf,
  type Charge,
  csvRecord,
  dueMs,
  endOf,
  entriesOf,
  invoicedIn,
  LineBook,
  monthAfter,
  monthOf,
  shared,
  totalsOf,
} from './index.js';

const amount = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n });
const some = fc.bigInt({ min: 0n, max: 10n ** 13n });
const atMs = fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2028, 0) });
const leases = ['ls_0000000000000000000a', 'ls_0000000000000000000b'] as LeaseId[];

const part = fc.record({
  usageLineId: fc.nat(),
  leaseId: fc.constantFrom(...leases),
  windowStartMs: atMs,
  revision: fc.nat(2),
  costMicroUsd: amount,
  microUsdPerHour: fc.constantFrom(1_000_000n, 2_500_000n),
  heldMs: some,
  billedMs: some,
});
const charge: fc.Arbitrary<Charge> = fc.record({
  transactionId: fc.nat(),
  kind: fc.constantFrom('settlement' as const, 'correction' as const, 'reversal' as const, 'emission' as const),
  atMs,
  asset: fc.constantFrom<Asset>('IO', 'USDC', 'USD'),
  amount,
  fee: amount,
  costMicroUsd: amount,
  note: fc.constantFrom('', 'a mistake'),
  parts: fc.array(part, { maxLength: 6 }),
});
const begin = beginOf('2027-01');
const sum = (values: readonly bigint[]) => values.reduce((all, value) => all + value, 0n);

describe('shares', () => {
  test('sum to the total, whatever the weights', () => {
    fc.assert(
      fc.property(amount, fc.array(amount, { minLength: 1, maxLength: 20 }), (total, weights) => {
        expect(sum(shared(total, weights))).toBe(total);
      }),
    );
  });

  test('of weights of one sign are within a unit of proportion', () => {
    fc.assert(
      fc.property(some, fc.array(some, { minLength: 1, maxLength: 20 }), (total, weights) => {
        const all = sum(weights);
        fc.pre(all > 0n);
        shared(total, weights).forEach((share, index) => {
          const distance = share * all - total * (weights[index] as bigint);
          expect(distance < all && distance > -all).toBe(true);
        });
      }),
    );
  });
});

describe('lines', () => {
  test('sum to what was posted, by asset, to the unit: none is lost and none counted twice', () => {
    fc.assert(
      fc.property(fc.array(charge, { maxLength: 20 }), charges => {
        const book = new LineBook();
        const entries = charges.flatMap(each => entriesOf(each, begin));
        for (const entry of entries) book.add(entry);
        const lines = book.lines();
        for (const asset of ['IO', 'USDC', 'USD'] as const) {
          const posted = charges.filter(each => each.asset === asset);
          const total = totalsOf(lines).find(each => each.asset === asset);
          expect(total?.amount ?? 0n).toBe(sum(posted.map(each => each.amount)));
          expect(total?.fee ?? 0n).toBe(sum(posted.map(each => each.fee)));
        }
        const parts = charges.flatMap(({ parts: of }) => of);
        expect(sum(lines.map(({ heldMs }) => heldMs))).toBe(sum(parts.map(({ heldMs }) => heldMs)));
        expect(sum(lines.map(({ billedMs }) => billedMs))).toBe(sum(parts.map(({ billedMs }) => billedMs)));
        expect(lines.reduce((all, { entries: count }) => all + count, 0)).toBe(entries.length);
        expect(lines.map(({ n }) => n)).toEqual(lines.map((_, index) => index + 1));
      }),
    );
  });

  test('of usage come to the same in whatever order it was charged', () => {
    const bare = (charges: readonly Charge[]) => {
      const book = new LineBook();
      for (const each of charges) for (const entry of entriesOf(each, begin)) book.add(entry);
      return book
        .lines()
        .map(({ n: _, ...line }) =>
          JSON.stringify(line, (__, value) => (typeof value === 'bigint' ? `${value}` : value)),
        )
        .sort();
    };
    fc.assert(
      fc.property(
        fc
          .array(charge, { maxLength: 12 })
          .chain(charges =>
            fc.tuple(fc.constant(charges), fc.shuffledSubarray(charges, { minLength: charges.length })),
          ),
        ([charges, shuffled]) => expect(bare(shuffled)).toEqual(bare(charges)),
      ),
    );
  });
});

describe('months', () => {
  test('follow one another without gap or overlap', () => {
    fc.assert(
      fc.property(atMs, at => {
        const month = monthOf(at);
        expect(beginOf(month)).toBeLessThanOrEqual(at);
        expect(endOf(month)).toBeGreaterThan(at);
        expect(beginOf(monthAfter(month))).toBe(endOf(month));
      }),
    );
  });

  test('a charge comes on the invoice of its month, or where that is closed on the first that is not', () => {
    fc.assert(
      fc.property(charge, atMs, (each, openAt) => {
        const firstOpen = monthOf(openAt);
        const month = invoicedIn(each, firstOpen);
        expect(month >= firstOpen).toBe(true);
        expect(month).toBe(monthOf(Math.max(dueMs(each), beginOf(firstOpen))));
        expect(invoicedIn(each, null)).toBe(monthOf(dueMs(each)));
        expect(dueMs(each)).toBeLessThanOrEqual(each.atMs);
      }),
    );
  });
});

describe('CSV', () => {
  /** As RFC 4180 reads it. */
  function read(text: string): string[] {
    const fields: string[] = [];
    const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy;
    for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
      fields.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'));
    }
    return fields;
  }

  test('is read back as it was written, but for the mark before what a spreadsheet would run', () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('=1+1', '@SUM(A1)', '+1', '-2.50', 'a"b', 'a,b', 'a\r\nb', '\tx'),
    );
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 8 }), fields => {
        const back = read(csvRecord(fields));
        expect(back.length).toBe(fields.length);
        back.forEach((field, index) => {
          expect([fields[index], `'${fields[index]}`]).toContain(field);
          expect(/^[=+@\t\r]/.test(field)).toBe(false);
          if (field.startsWith('-')) expect(field).toMatch(/^-\d+(\.\d+)?$/);
        });
      }),
    );
  });
});
