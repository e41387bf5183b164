import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  aimOf,
  type Curve,
  defaultTerms,
  nextPrice,
  offeringFactors,
  orderFactors,
  priced,
  utilisationPpm,
} from './index.js';

const { curve } = defaultTerms;
const base = fc.integer({ min: 1, max: 1_000_000_000 });
const share = fc.integer({ min: 0, max: 1_000_000 });
const curves: fc.Arbitrary<Curve> = fc.record({
  targetPpm: fc.integer({ min: 1, max: 999_999 }),
  floorPpm: fc.integer({ min: 1, max: 1_000_000 }),
  ceilingPpm: fc.integer({ min: 1_000_000, max: 10_000_000 }),
  smoothingPpm: fc.integer({ min: 1, max: 1_000_000 }),
  largestStepPpm: fc.integer({ min: 1, max: 1_000_000 }),
});

test('the example of docs/pricing.md comes out to the micro-USD', () => {
  const utilisation = utilisationPpm({ used: 24_480n, offered: 28_800n });
  expect(utilisation).toBe(850_000);
  const aim = aimOf(950_000, curve, utilisation);
  expect(aim).toBe(1_075_000);
  const market = nextPrice(950_000, aim, curve);
  expect(market).toBe(981_250);
  const factors = [
    ...offeringFactors(defaultTerms, { connectivity: 'high', compliance: ['soc2'], region: null, country: 'DE' }),
    ...orderFactors(defaultTerms, { commitmentHours: 200, spot: false }),
  ];
  expect(factors.map(({ ppm }) => ppm)).toEqual([1_050_000, 1_050_000, 930_000]);
  expect(priced(market, factors, defaultTerms)).toBe(1_006_100);
});

test('the default curve runs between the ends of the published range', () => {
  expect([0, 700_000, 1_000_000].map(at => aimOf(950_000, curve, at))).toEqual([700_000, 950_000, 1_200_000]);
});

test('more demand never makes the price lower', () => {
  fc.assert(
    fc.property(base, base, curves, share, share, (price, before, shape, one, other) => {
      const [less, more] = [Math.min(one, other), Math.max(one, other)].map(at => aimOf(price, shape, at)) as [
        number,
        number,
      ];
      expect(more).toBeGreaterThanOrEqual(less);
      expect(nextPrice(before, more, shape)).toBeGreaterThanOrEqual(nextPrice(before, less, shape));
    }),
  );
});

test('a price that starts at the base stays between floor and ceiling, and never steps by more than allowed', () => {
  fc.assert(
    fc.property(base, curves, fc.array(fc.option(share), { maxLength: 50 }), (price, shape, hours) => {
      const [floor, ceiling] = [aimOf(price, shape, 0), aimOf(price, shape, 1_000_000)];
      let now = price;
      for (const utilisation of hours) {
        const next = nextPrice(now, aimOf(price, shape, utilisation), shape);
        expect(next).toBeGreaterThanOrEqual(floor);
        expect(next).toBeLessThanOrEqual(ceiling);
        const allowed = (BigInt(now) * BigInt(shape.largestStepPpm)) / 1_000_000n;
        expect(BigInt(Math.abs(next - now))).toBeLessThanOrEqual(allowed > 1n ? allowed : 1n);
        now = next;
      }
    }),
  );
});

test('while utilisation stays the price arrives exactly at the curve, and from any price before', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100_000, max: 5_000_000 }),
      fc.integer({ min: 100_000, max: 5_000_000 }),
      share,
      (price, before, at) => {
        const aim = aimOf(price, curve, at);
        let now = before;
        // The step limit lets a price grow by 5 % an hour, and to one micro-USD it may come from five dollars.
        for (let hour = 0; hour < 2_000 && now !== aim; hour++) {
          const next = nextPrice(now, aim, curve);
          expect(Math.abs(aim - next)).toBeLessThan(Math.abs(aim - now));
          now = next;
        }
        expect(now).toBe(aim);
      },
    ),
  );
});

test('the order of factors changes nothing, and their product is rounded once, within its bounds', () => {
  const factor = fc.record({ reason: fc.constant('any'), ppm: fc.integer({ min: 1, max: 10_000_000 }) });
  fc.assert(
    fc.property(base, fc.array(factor, { maxLength: 6 }), (market, factors) => {
      const price = priced(market, factors, defaultTerms);
      expect(priced(market, factors.toReversed(), defaultTerms)).toBe(price);
      const within = (ppm: number) => Math.max(1, Math.floor((market * ppm) / 1_000_000 + 0.5));
      expect(price).toBeGreaterThanOrEqual(within(defaultTerms.lowestProductPpm) - 1);
      expect(price).toBeLessThanOrEqual(within(defaultTerms.highestProductPpm) + 1);
    }),
  );
});

test('a certificate counts once, a region goes before its country, the longest commitment that is kept counts', () => {
  const terms = { ...defaultTerms, placePpm: { DE: 1_100_000, 'eu-central': 1_200_000 } };
  const of = (region: string | null) =>
    offeringFactors(terms, { connectivity: null, compliance: ['soc2', 'soc2'], region, country: 'DE' }).map(f => f.ppm);
  expect(of('eu-central')).toEqual([1_050_000, 1_200_000]);
  expect(of('eu-west')).toEqual([1_050_000, 1_100_000]);
  const committed = (hours: number) => orderFactors(terms, { commitmentHours: hours, spot: true }).map(f => f.ppm);
  expect([23, 24, 719, 9_000].map(committed)).toEqual([
    [600_000],
    [970_000, 600_000],
    [930_000, 600_000],
    [850_000, 600_000],
  ]);
});

test('utilisation is at most all of it, and nothing where nothing was offered', () => {
  expect(utilisationPpm({ used: 5n, offered: 4n })).toBe(1_000_000);
  expect(utilisationPpm({ used: 0n, offered: 0n })).toBeNull();
  expect(aimOf(950_000, curve, null)).toBe(950_000);
});
