/** How much is set aside for how much usage, and for how much usage it lasts. Pure. */
import type { UsageTerms } from './usage.js';

const million = 1_000_000n;

/** Units of the asset for a micro-USD of usage, with the renter's fees, as a fraction. */
function rate({ asset, usdPerIo, fees }: UsageTerms): { numerator: bigint; denominator: bigint } {
  const withFees = million + (asset === 'IO' ? fees.paymentInIoPpm : fees.paymentPpm) + fees.reservationRenterPpm;
  return asset === 'IO'
    ? { numerator: withFees * 100n * usdPerIo.denominator, denominator: million * usdPerIo.numerator }
    : { numerator: withFees, denominator: million };
}

/** Covers usage of so many micro-USD, settled in however many pieces: rounded up, so never less. */
export function unitsFor(costMicroUsd: bigint, terms: UsageTerms): bigint {
  if (costMicroUsd <= 0n) return 0n;
  const { numerator, denominator } = rate(terms);
  return (costMicroUsd * numerator + denominator - 1n) / denominator;
}

/** The most usage that so many units cover, in micro-USD. */
export function coveredCost(units: bigint, terms: UsageTerms): bigint {
  if (units <= 0n) return 0n;
  const { numerator, denominator } = rate(terms);
  return (units * denominator) / numerator;
}

/** What an order costs as it stands; all in micro-USD. */
export interface Exposure {
  /** Used and not charged yet, at the most: the price of all time since the last charge. */
  accrued: bigint;
  perHour: bigint;
  /** What may still be spent, by its budget and its tenant's caps; null: no limit. */
  limit: bigint | null;
}

export interface Need {
  /** What its hold must have at least, and what it is filled up to. */
  least: bigint;
  full: bigint;
}

/** A hold is filled up once half of what it pays ahead is used. */
export function needOf({ accrued, perHour, limit }: Exposure, aheadMs: bigint, terms: UsageTerms): Need {
  const ahead = (ms: bigint) => {
    const cost = (perHour * ms + 3_599_999n) / 3_600_000n;
    return accrued + (limit !== null && limit < cost ? (limit > 0n ? limit : 0n) : cost);
  };
  return { least: unitsFor(ahead(aheadMs / 2n), terms), full: unitsFor(ahead(aheadMs), terms) };
}

/** For how long from now what is held pays for what runs; null: nothing that costs anything runs. Milliseconds. */
export function lastsMs(left: bigint, { accrued, perHour }: Exposure, terms: UsageTerms): bigint | null {
  if (perHour <= 0n) return null;
  const free = coveredCost(left, terms) - accrued;
  return free > 0n ? (free * 3_600_000n) / perHour : 0n;
}
