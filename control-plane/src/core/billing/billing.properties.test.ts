/** What the ledger's arithmetic promises, whatever the usage, the price, the fees and the order. */
import type { Asset, TenantId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  available,
  balanced,
  type Charge,
  chargeOf,
  creditEntries,
  earnings,
  escrow,
  type Fees,
  holdEntries,
  ofNetwork,
  releaseEntries,
  reversalEntries,
  settlementEntries,
  type Usage,
} from './index.js';
import { Book } from './testing/book.js';

const renter = 'tn_00000000000000renter' as TenantId;
const suppliers = ['tn_00000000000supplier1', 'tn_00000000000supplier2'] as TenantId[];

const asset = fc.constantFrom<Asset>('IO', 'USDC', 'USD');
const ppm = fc.bigInt({ min: 0n, max: 1_000_000n });
const fees: fc.Arbitrary<Fees> = fc.record({
  paymentPpm: ppm,
  paymentInIoPpm: ppm,
  reservationRenterPpm: ppm,
  reservationSupplierPpm: ppm,
});
const price = fc.record({
  numerator: fc.bigInt({ min: 1n, max: 10n ** 12n }),
  denominator: fc.bigInt({ min: 1n, max: 10n ** 12n }),
});
const costMicroUsd = fc.bigInt({ min: 1n, max: 10n ** 13n });
const usage: fc.Arbitrary<Usage> = fc.record({ costMicroUsd, asset, usdPerIo: price, fees });

const partsOf = ({ paymentFee, renterReservation, supplierReservation, supplierShare, rounding }: Charge) =>
  paymentFee + renterReservation + supplierReservation + supplierShare + rounding;

describe('a charge', () => {
  test('is the sum of its parts, none of them negative, and rounding is less than a unit for each of them', () => {
    fc.assert(
      fc.property(usage, each => {
        const charge = chargeOf(each);
        expect(partsOf(charge)).toBe(charge.paid);
        for (const amount of Object.values(charge)) expect(amount).toBeGreaterThanOrEqual(0n);
        expect(charge.rounding).toBeLessThan(4n);
      }),
    );
  });

  test('never exceeds its exact value, and is within a unit of it', () => {
    fc.assert(
      fc.property(usage, each => {
        const { asset: paysIn, usdPerIo } = each;
        const ppms = 1_000_000n + (paysIn === 'IO' ? each.fees.paymentInIoPpm : each.fees.paymentPpm);
        const exact = each.costMicroUsd * (ppms + each.fees.reservationRenterPpm);
        const [numerator, denominator] =
          paysIn === 'IO'
            ? [exact * 100n * usdPerIo.denominator, 1_000_000n * usdPerIo.numerator]
            : [exact, 1_000_000n];
        const { paid } = chargeOf(each);
        expect(paid * denominator).toBeLessThanOrEqual(numerator);
        expect((paid + 1n) * denominator).toBeGreaterThan(numerator);
      }),
    );
  });

  test('in pieces is never more than as a whole: a hold for an estimate covers it however it is settled', () => {
    fc.assert(
      fc.property(usage, fc.array(costMicroUsd, { minLength: 1, maxLength: 20 }), (each, pieces) => {
        const whole = chargeOf({ ...each, costMicroUsd: pieces.reduce((sum, piece) => sum + piece, 0n) });
        const inPieces = pieces.map(piece => chargeOf({ ...each, costMicroUsd: piece }).paid);
        const sum = inPieces.reduce((total, paid) => total + paid, 0n);
        expect(sum).toBeLessThanOrEqual(whole.paid);
        expect(whole.paid - sum).toBeLessThan(BigInt(pieces.length));
      }),
    );
  });

  test('that is higher for more usage is never lower', () => {
    fc.assert(
      fc.property(usage, costMicroUsd, (each, more) => {
        const larger = chargeOf({ ...each, costMicroUsd: each.costMicroUsd + more });
        expect(larger.paid).toBeGreaterThanOrEqual(chargeOf(each).paid);
        expect(larger.supplierIo).toBeGreaterThanOrEqual(chargeOf(each).supplierIo);
      }),
    );
  });

  test('as docs/billing.md works it out, to the unit', () => {
    const published: Fees = {
      paymentPpm: 20_000n,
      paymentInIoPpm: 0n,
      reservationRenterPpm: 2_500n,
      reservationSupplierPpm: 2_500n,
    };
    const example = { costMicroUsd: 1_234_567n, usdPerIo: { numerator: 37n, denominator: 20n }, fees: published };
    expect(chargeOf({ ...example, asset: 'USDC' })).toEqual({
      paid: 1_262_344n,
      paymentFee: 24_691n,
      renterReservation: 3_086n,
      supplierReservation: 3_086n,
      supplierShare: 1_231_480n,
      rounding: 1n,
      supplierIo: 66_566_486n,
    });
    expect(chargeOf({ ...example, asset: 'IO' })).toEqual({
      paid: 66_900_184n,
      paymentFee: 0n,
      renterReservation: 166_833n,
      supplierReservation: 166_833n,
      supplierShare: 66_566_517n,
      rounding: 1n,
      supplierIo: 66_566_517n,
    });
  });
});

interface Step {
  key: string;
  supplier: TenantId;
  charge: Charge;
}
const orders = fc
  .record({
    asset,
    usdPerIo: price,
    fees,
    costs: fc.array(fc.record({ cost: costMicroUsd, supplier: fc.constantFrom(...suppliers) }), { maxLength: 15 }),
    spare: fc.bigInt({ min: 0n, max: 10n ** 12n }),
  })
  .map(({ costs, spare, ...terms }) => ({
    ...terms,
    spare,
    steps: costs.map(
      ({ cost, supplier }, index): Step => ({
        key: `usage ${index}`,
        supplier,
        charge: chargeOf({ ...terms, costMicroUsd: cost }),
      }),
    ),
  }));

interface Order {
  asset: Asset;
  steps: readonly Step[];
  spare: bigint;
}

/** An order from its credit to its end. `held` null: what the steps cost and something to spare. */
function run({ asset: paysIn, steps, spare }: Order, held: bigint | null) {
  const book = new Book();
  const hold = { reference: 'order', tenantId: renter, asset: paysIn };
  const cost = new Map(steps.map(({ key, charge }) => [key, charge.paid]));
  const amount = held ?? [...cost.values()].reduce((sum, paid) => sum + paid, 0n) + spare;
  book.post('credit', creditEntries(renter, paysIn, amount));
  book.post('hold', holdEntries(hold, amount));
  for (const { key, supplier, charge } of steps) {
    book.post(key, settlementEntries(hold, supplier, charge));
    expect(book.balance(escrow(renter, paysIn, 'order'))).toBeGreaterThanOrEqual(0n);
  }
  const left = book.balance(escrow(renter, paysIn, 'order'));
  book.post('release', releaseEntries(hold, left));
  return { book, amount, hold, left };
}
describe('an order', () => {
  test('conserves money: what was paid in is supplier pay, fees, rounding and refund, and each asset sums to zero', () => {
    fc.assert(
      fc.property(orders, order => {
        const { book, amount, left } = run(order, null);
        const { asset: paysIn } = order;
        expect(book.sums().every(sum => sum === 0n)).toBe(true);
        const supplierPay = suppliers.reduce((sum, id) => sum + book.balance(earnings(id)), 0n);
        const converted = paysIn === 'IO' ? supplierPay : book.balance(ofNetwork('exchange', paysIn));
        const kept = book.balance(ofNetwork('fees', paysIn)) + book.balance(ofNetwork('rounding', paysIn));
        expect(converted + kept + left).toBe(amount);
        expect(book.balance(available(renter, paysIn))).toBe(left);
        if (paysIn !== 'IO') expect(book.balance(ofNetwork('exchange', 'IO'))).toBe(-supplierPay);
      }),
    );
  });

  test('ends the same in whatever order, and however often, its usage comes in', () => {
    fc.assert(
      fc.property(
        orders.chain(order =>
          fc
            .shuffledSubarray([...order.steps, ...order.steps], { minLength: 2 * order.steps.length })
            .map(shuffled => ({ order, shuffled })),
        ),
        ({ order, shuffled }) => {
          const hold = run(order, null);
          const again = run({ ...order, steps: shuffled }, hold.amount);
          expect(again.book.all()).toEqual(hold.book.all());
        },
      ),
    );
  });

  test('with too little in its hold never takes more than that', () => {
    fc.assert(
      fc.property(orders, fc.bigInt({ min: 1n, max: 10n ** 14n }), (order, held) => {
        const { book, left } = run(order, held);
        expect(left).toBeGreaterThanOrEqual(0n);
        expect(book.sums().every(sum => sum === 0n)).toBe(true);
      }),
    );
  });

  test('that was reversed, with its hold open or closed, has left nobody anything but its renter', () => {
    fc.assert(
      fc.property(orders, order => {
        const { book, amount, hold } = run(order, null);
        for (const { key, supplier, charge } of order.steps) {
          const entries = settlementEntries(hold, supplier, charge);
          expect(
            book.post(
              `reversal of ${key}`,
              reversalEntries(entries, ({ hold: of }) => of !== null),
            ),
          ).toBe(true);
        }
        expect(book.balance(available(renter, order.asset))).toBe(amount);
        for (const id of suppliers) expect(book.balance(earnings(id))).toBe(0n);
      }),
    );
  });
});

test('entries that do not balance in each asset are a bug, and said to be', () => {
  const uneven = [
    { account: available(renter, 'IO'), amount: 5n },
    { account: available(renter, 'USDC'), amount: -5n },
  ];
  expect(() => balanced(uneven)).toThrow('entries sum to 5 units of IO');
});
