/** What usage costs its renter and brings its supplier, to the unit. Pure. */
import type { Asset } from '@iocloud/contracts';
import { type Ratio, roundedDown, times } from './ratio.js';

const million = 1_000_000n;

/** In millionths of the rent, which is the price of the usage without fees. */
export interface Fees {
  /** On top of the rent, where the renter pays in anything but IO, and where in IO. */
  paymentPpm: bigint;
  paymentInIoPpm: bigint;
  /** On top of the rent, and out of it. */
  reservationRenterPpm: bigint;
  reservationSupplierPpm: bigint;
}

export interface Usage {
  /** Price of the usage, before fees. */
  costMicroUsd: bigint;
  /** What the renter pays in. A USDC counts as a dollar. */
  asset: Asset;
  /** What one IO costs in USD. */
  usdPerIo: Ratio;
  fees: Fees;
}

/** All in the smallest unit of the renter's asset but `supplierIo`. `paid` is the sum of the five that follow it. */
export interface Charge {
  paid: bigint;
  paymentFee: bigint;
  renterReservation: bigint;
  supplierReservation: bigint;
  /** The rent less the supplier's fee: what buys `supplierIo`. */
  supplierShare: bigint;
  /** What rounding each of the others down leaves over: never negative, less than one unit for each of them. */
  rounding: bigint;
  /** In the smallest unit of IO. */
  supplierIo: bigint;
}

/** Smallest units of IO for a micro-USD: 10^8 units an IO, 10^6 micro-USD a dollar. */
const ioUnitsPerMicroUsd = ({ numerator, denominator }: Ratio): Ratio => ({
  numerator: 100n * denominator,
  denominator: numerator,
});

const inAsset = (microUsd: bigint, { asset, usdPerIo }: Usage): Ratio => {
  const amount = { numerator: microUsd, denominator: 1n };
  return asset === 'IO' ? times(amount, ioUnitsPerMicroUsd(usdPerIo)) : amount;
};

/**
 * Every amount is its exact value rounded down, the renter's sum as well; nobody gets more than is exactly theirs. A sum
 * rounded down is never less than its parts rounded down, so what is left over is never negative.
 */
export function chargeOf(usage: Usage): Charge {
  const { asset, costMicroUsd, fees } = usage;
  const rent = inAsset(costMicroUsd, usage);
  const share = (ppm: bigint) => roundedDown(times(rent, { numerator: ppm, denominator: million }));
  const paymentPpm = asset === 'IO' ? fees.paymentInIoPpm : fees.paymentPpm;
  const paid = share(million + paymentPpm + fees.reservationRenterPpm);
  const paymentFee = share(paymentPpm);
  const renterReservation = share(fees.reservationRenterPpm);
  const supplierReservation = share(fees.reservationSupplierPpm);
  const supplierShare = share(million - fees.reservationSupplierPpm);
  return {
    paid,
    paymentFee,
    renterReservation,
    supplierReservation,
    supplierShare,
    rounding: paid - paymentFee - renterReservation - supplierReservation - supplierShare,
    // From the share as it is booked, so that it can be checked from the two postings and the price alone.
    supplierIo: asset === 'IO' ? supplierShare : roundedDown(inAsset(supplierShare, { ...usage, asset: 'IO' })),
  };
}
