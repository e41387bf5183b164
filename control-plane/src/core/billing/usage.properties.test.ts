import type { Asset, TenantId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type Account,
  chargeOf,
  coveredCost,
  type Fees,
  feesInWords,
  lastsMs,
  nameOf,
  noShortfall,
  parseFees,
  type Shortfall,
  tend,
  type UsageTerms,
  unitsFor,
  usageCost,
  usageEntries,
} from './index.js';

const renter = 'tn_renter' as TenantId;
const supplierId = 'tn_supplier' as TenantId;

const ppm = fc.bigInt({ min: 0n, max: 100_000n });
const fees: fc.Arbitrary<Fees> = fc.record({
  paymentPpm: ppm,
  paymentInIoPpm: ppm,
  reservationRenterPpm: ppm,
  reservationSupplierPpm: ppm,
});
const terms: fc.Arbitrary<UsageTerms> = fc.record({
  asset: fc.constantFrom<Asset>('IO', 'USDC', 'USD'),
  usdPerIo: fc.record({
    numerator: fc.bigInt({ min: 1n, max: 10n ** 6n }),
    denominator: fc.bigInt({ min: 1n, max: 10n ** 6n }),
  }),
  fees,
});

/** Lines of a few windows, and the order in which they are charged: a window's later lines may come before its first. */
const usage = fc
  .array(fc.record({ window: fc.nat(2), ms: fc.bigInt({ min: -3_000_000n, max: 3_600_000n }) }), { maxLength: 12 })
  .chain(lines =>
    fc.record({ lines: fc.constant(lines), shuffled: fc.shuffledSubarray(lines, { minLength: lines.length }) }),
  );

/** What a sequence of lines leaves on each account, with so much set aside and available at first. */
function charged(
  lines: readonly { window: number; ms: bigint }[],
  { price, of, held, available }: { price: bigint; of: UsageTerms; held: bigint; available: bigint },
) {
  const hold = { reference: 'order', tenantId: renter, asset: of.asset };
  const balances = new Map([
    [`escrow:${of.asset}:${renter}:order`, held],
    [`available:${of.asset}:${renter}`, available],
  ]);
  const windows = new Map<number, { ms: bigint; cost: bigint; borne: Shortfall }>();
  const left = (account: Account) => balances.get(nameOf(account)) ?? 0n;
  for (const { window, ms } of lines) {
    const state = windows.get(window) ?? { ms: 0n, cost: 0n, borne: noShortfall };
    const after = usageCost(state.ms + ms, price);
    const { entries, borne } = usageEntries(
      { terms: of, before: state.cost, after, borne: state.borne },
      { hold, isClosed: false, supplierId, left },
    );
    for (const { account, amount } of entries) {
      const balance = left(account) + amount;
      if (account.tenantId !== null) expect(balance >= 0n).toBe(true);
      balances.set(nameOf(account), balance);
    }
    windows.set(window, {
      ms: state.ms + ms,
      cost: after,
      borne: { renter: state.borne.renter + borne.renter, supplier: state.borne.supplier + borne.supplier },
    });
  }
  return { balances: new Map([...balances].filter(([, balance]) => balance !== 0n).sort()), windows };
}

const price = fc.bigInt({ min: 0n, max: 10n ** 8n });
const plenty = 10n ** 18n;

describe('lines of usage', () => {
  test('leave the same on every account in any order, and what each window costs as a whole', () => {
    fc.assert(
      fc.property(usage, terms, price, ({ lines, shuffled }, of, each) => {
        const money = { price: each, of, held: plenty, available: plenty };
        const one = charged(lines, money);
        const other = charged(shuffled, money);
        expect(other.balances).toEqual(one.balances);
        let [paid, earned] = [0n, 0n];
        for (const { ms } of one.windows.values()) {
          const charge = chargeOf({ ...of, costMicroUsd: usageCost(ms, each) });
          paid += charge.paid;
          earned += charge.supplierIo;
        }
        expect(one.balances.get(`escrow:${of.asset}:${renter}:order`)).toBe(plenty - paid);
        expect(one.balances.get(`earnings:IO:${supplierId}`) ?? 0n).toBe(earned);
      }),
    );
  });

  test('make and lose no money, and no account of a tenant is ever below zero, however little there is', () => {
    fc.assert(
      fc.property(
        usage,
        terms,
        price,
        fc.bigInt({ min: 0n, max: 10n ** 9n }),
        fc.bigInt({ min: 0n, max: 10n ** 9n }),
        ({ lines }, of, each, held, available) => {
          const { balances, windows } = charged(lines, { price: each, of, held, available });
          const sums = new Map<string, bigint>([[of.asset, -held - available]]);
          for (const [name, balance] of balances) {
            const asset = name.split(':')[1] ?? '';
            sums.set(asset, (sums.get(asset) ?? 0n) + balance);
          }
          for (const sum of sums.values()) expect(sum).toBe(0n);
          for (const { borne } of windows.values()) expect(borne.renter >= 0n && borne.supplier >= 0n).toBe(true);
        },
      ),
    );
  });

  test('in pieces never cost more than as a whole', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 10n ** 7n })), price, (pieces, each) => {
        const whole = usageCost(
          pieces.reduce((sum, ms) => sum + ms, 0n),
          each,
        );
        const apart = pieces.reduce((sum, ms) => sum + usageCost(ms, each), 0n);
        expect(apart <= whole && whole - apart <= BigInt(pieces.length)).toBe(true);
      }),
    );
  });
});

test('fees are read as they are kept, and nothing else is', () => {
  fc.assert(fc.property(fees, of => expect(parseFees(feesInWords(of))).toEqual(of)));
  for (const bad of ['', '1/2/3', '1/2/3/4/5', '1/2/3/-4', 'a/b/c/d']) expect(() => parseFees(bad)).toThrow(RangeError);
});

describe('what is set aside', () => {
  test('covers the usage that it is for in any pieces, and lasts no longer than it covers', () => {
    fc.assert(
      fc.property(terms, fc.array(fc.bigInt({ min: 0n, max: 10n ** 9n }), { minLength: 1 }), (of, costs) => {
        const total = costs.reduce((sum, cost) => sum + cost, 0n);
        const units = unitsFor(total, of);
        const paid = costs.reduce((sum, costMicroUsd) => sum + chargeOf({ ...of, costMicroUsd }).paid, 0n);
        expect(paid <= units).toBe(true);
        expect(chargeOf({ ...of, costMicroUsd: coveredCost(units, of) }).paid <= units).toBe(true);
        expect(coveredCost(units, of) >= total).toBe(true);
      }),
    );
  });

  test('pays for what accrues until the end that is told', () => {
    const micro = fc.bigInt({ min: 0n, max: 10n ** 9n });
    fc.assert(
      fc.property(
        terms,
        micro,
        fc.bigInt({ min: 1n, max: 10n ** 9n }),
        fc.bigInt({ min: 0n, max: 10n ** 14n }),
        (of, accrued, perHour, left) => {
          const lasts = lastsMs(left, { accrued, perHour, limit: null }, of) ?? 0n;
          fc.pre(lasts > 0n);
          const cost = accrued + (perHour * lasts) / 3_600_000n;
          expect(chargeOf({ ...of, costMicroUsd: cost }).paid <= left).toBe(true);
        },
      ),
    );
  });
});

describe('running orders', () => {
  const fixed: UsageTerms = {
    asset: 'USDC',
    usdPerIo: { numerator: 1n, denominator: 1n },
    fees: { paymentPpm: 0n, paymentInIoPpm: 0n, reservationRenterPpm: 0n, reservationSupplierPpm: 0n },
  };
  const hourMs = 3_600_000n;
  const order = (id: string, left: bigint, accrued = 0n, limit: bigint | null = null) => ({
    id,
    asset: 'USDC' as const,
    left,
    isClosed: false,
    exposure: { accrued, perHour: 1_000_000n, limit },
  });
  const look = (orders: ReturnType<typeof order>[], available: bigint, caps = { day: null, month: null } as never) =>
    tend(
      { orders, available: new Map([['USDC', available]]), caps, nowMs: 0, dayEndMs: 10 * 3_600_000, monthEndMs: 1e9 },
      hourMs,
      () => fixed,
    );

  test('grow once half of what they pay ahead is used, and then to the whole', () => {
    expect(look([order('a', 500_000n)], 5_000_000n).topUps).toEqual([]);
    expect(look([order('a', 499_999n)], 5_000_000n).topUps).toEqual([{ id: 'a', amount: 500_001n }]);
    expect(look([order('a', 900_000n, 500_000n)], 5_000_000n).topUps).toEqual([{ id: 'a', amount: 600_000n }]);
  });

  test('take what there is, and end when that is used; the first has it first', () => {
    const { topUps, ends, lastsMs: lasts } = look([order('a', 0n), order('b', 250_000n)], 1_100_000n);
    expect(topUps).toEqual([
      { id: 'a', amount: 1_000_000n },
      { id: 'b', amount: 100_000n },
    ]);
    expect(ends.get('a')).toBeNull();
    expect(ends.get('b')).toEqual({ atMs: 1_260_000, why: 'its money is spent' });
    expect(lasts).toBe(2_430_000n);
  });

  test('end at once where their hold was closed by hand, and take no more money', () => {
    const closed = { ...order('a', 0n), isClosed: true };
    const { topUps, ends } = look([closed, order('b', 1_000_000n)], 9_000_000n);
    expect([topUps, ends.get('a')?.atMs, ends.get('b')]).toEqual([[], 0, null]);
  });

  test('are held for no more than a budget leaves', () => {
    expect(look([order('a', 100_000n, 0n, 100_000n)], 5_000_000n).topUps).toEqual([]);
    expect(look([order('a', 50_000n, 0n, 100_000n)], 5_000_000n).topUps).toEqual([{ id: 'a', amount: 50_000n }]);
  });

  test('end at a cap that is reached before its day is over, all of them together', () => {
    const caps = { day: 4_000_000n, month: null } as never;
    expect(look([order('a', 1_000_000n), order('b', 1_000_000n)], 9_000_000n, caps).ends.get('b')).toEqual({
      atMs: 7_200_000,
      why: 'what its tenant may spend in a day is spent',
    });
    const later = { day: 40_000_000n, month: null } as never;
    expect(look([order('a', 1_000_000n)], 9_000_000n, later).ends.get('a')).toBeNull();
  });
});
