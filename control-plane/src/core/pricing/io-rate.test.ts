import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { agreement, type Guards, ioUnitsOf, parseRate, type Reading, rateInWords } from './io-rate.js';

const guards: Guards = { minSources: 2, maxAgeMs: 60_000, maxDeviationPpm: 20_000 };
const now = 1_800_000_000_000;
const reading = (source: string, usd: string, ageMs = 0): Reading => ({
  source,
  rate: parseRate(usd) ?? 0n,
  atMs: now - ageMs,
});
const shown = (readings: Reading[], with_: Partial<Guards> = {}) => {
  const { rate, refusal, verdicts } = agreement(readings, now, { ...guards, ...with_ });
  return { rate: rate && rateInWords(rate), isRefused: refusal !== null, verdicts: Object.fromEntries(verdicts) };
};

describe('a rate', () => {
  test.each([
    ['0.15', '0.15'],
    ['2', '2'],
    ['1.5e-7', '0.00000015'],
    ['12.50', '12.5'],
    ['0.00000000000000001', '0.00000000000000001'],
  ])('%s is read exactly', (text, words) => expect(rateInWords(parseRate(text) ?? 0n)).toBe(words));

  test.each(['', '0', '-1', '0.000000000000000001', '1e30', 'NaN', 'Infinity', '0x1', ' 1', '1,5'])(
    '%j is none',
    text => expect(parseRate(text)).toBeNull(),
  );

  test('what is said in words is read as the same', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 20n }), tens =>
        expect(parseRate(rateInWords(tens * 10n))).toBe(tens * 10n),
      ),
    );
  });
});

describe('sources', () => {
  test('that agree give their median, of two their mean', () => {
    expect(shown([reading('a', '0.15'), reading('b', '0.151')])).toMatchObject({ rate: '0.1505', isRefused: false });
    expect(shown([reading('a', '0.15'), reading('b', '0.151'), reading('c', '0.152')])).toMatchObject({
      rate: '0.151',
    });
  });

  test('one that lies or is old is left out and named', () => {
    expect(shown([reading('a', '0.15'), reading('b', '0.151'), reading('c', '9')])).toEqual({
      rate: '0.151',
      isRefused: false,
      verdicts: { a: 'agrees', b: 'agrees', c: 'deviates' },
    });
    expect(shown([reading('a', '0.15'), reading('b', '0.15'), reading('c', '0.2', 60_001)])).toMatchObject({
      rate: '0.15',
      verdicts: { c: 'stale' },
    });
    expect(shown([reading('a', '0.15'), reading('b', '0.15'), reading('c', '0.15', -60_001)])).toMatchObject({
      verdicts: { c: 'stale' },
    });
  });

  test.each([
    ['too few', [reading('a', '0.15')]],
    ['none', []],
    ['two that disagree', [reading('a', '0.15'), reading('b', '0.25')]],
    ['two against two', [reading('a', '1'), reading('b', '1'), reading('c', '2'), reading('d', '2')]],
    ['all old', [reading('a', '1', 61_000), reading('b', '1', 61_000)]],
  ])('%s are refused', (_name, readings) => expect(shown(readings)).toMatchObject({ rate: null, isRefused: true }));

  const rates = fc.bigInt({ min: 1n, max: 10n ** 6n }).map(units => units * 10n ** 15n);
  test('their order changes nothing, and a minority cannot move the rate past the others', () => {
    fc.assert(
      fc.property(
        fc.array(rates, { minLength: 2, maxLength: 6 }),
        fc.array(rates, { maxLength: 5 }),
        (honest, liars) => {
          fc.pre(liars.length < honest.length);
          const all = [...honest, ...liars].map((rate, index) => ({ source: `s${index}`, rate, atMs: now }));
          const { rate } = agreement(all, now, guards);
          expect(agreement(all.toReversed(), now, guards).rate).toBe(rate);
          if (rate === null) return;
          expect(honest.some(each => each <= rate) && honest.some(each => each >= rate)).toBe(true);
        },
      ),
    );
  });
});

test('an amount in IO is never short, and by less than one unit too much', () => {
  expect(ioUnitsOf(1_006_100, parseRate('0.15') ?? 1n)).toBe(670_733_334n);
  fc.assert(
    fc.property(fc.nat(), fc.bigInt({ min: 10n, max: 10n ** 20n }), (microUsd, rate) => {
      const worth = (units: bigint) => units * rate;
      const owed = BigInt(microUsd) * 10n ** 20n;
      const units = ioUnitsOf(microUsd, rate);
      expect(worth(units) >= owed && worth(units) < owed + rate).toBe(true);
    }),
  );
});
