/** What moves a price away from the market's: what the machine is and has, and how it is ordered. One product, rounded once. */

import { million, roundedRatio } from './ratio.js';
import type { Compliance, Connectivity, PricingTerms } from './terms.js';

export interface Factor {
  /** What it stands for, for example `connectivity high`. */
  reason: string;
  ppm: number;
}

/** What a machine is, or what a renter asks of one. */
export interface Offering {
  connectivity: Connectivity | null;
  compliance: readonly Compliance[];
  region: string | null;
  country: string | null;
}

export interface Order {
  /** Hours that the renter commits to. */
  commitmentHours: number;
  /** May be stopped for more urgent work. */
  spot: boolean;
}

/** A certificate counts once. A region's own factor takes the place of its country's. */
export function offeringFactors(terms: PricingTerms, offering: Offering): Factor[] {
  const { connectivity, region, country } = offering;
  const factors: Factor[] = [];
  if (connectivity !== null) {
    factors.push({ reason: `connectivity ${connectivity}`, ppm: terms.connectivityPpm[connectivity] });
  }
  for (const certificate of new Set(offering.compliance)) {
    factors.push({ reason: `certificate ${certificate}`, ppm: terms.compliancePpm[certificate] });
  }
  const place = [region, country].find(name => name !== null && terms.placePpm[name] !== undefined);
  if (place) factors.push({ reason: `place ${place}`, ppm: terms.placePpm[place] as number });
  return factors;
}

/** Of the commitments that are short enough the longest counts. */
export function orderFactors(terms: PricingTerms, { commitmentHours, spot }: Order): Factor[] {
  const factors: Factor[] = [];
  const kept = terms.commitments.filter(({ hours }) => hours <= commitmentHours).sort((a, b) => b.hours - a.hours)[0];
  if (kept) factors.push({ reason: `commitment of ${kept.hours} h`, ppm: kept.ppm });
  if (spot) factors.push({ reason: 'spot', ppm: terms.spotPpm });
  return factors;
}

/** The market price times all factors, their product kept within its bounds; half up to a micro-USD, at least one. */
export function priced(marketMicroUsd: number, factors: readonly Factor[], terms: PricingTerms): number {
  const scale = million ** BigInt(factors.length);
  const product = factors.reduce((all, { ppm }) => all * BigInt(ppm), 1n);
  // Compared without a division, so that nothing is rounded before the end.
  const [lowest, highest] = [BigInt(terms.lowestProductPpm), BigInt(terms.highestProductPpm)];
  const [numerator, denominator] =
    product * million < lowest * scale
      ? [lowest, million]
      : product * million > highest * scale
        ? [highest, million]
        : [product, scale];
  const price = roundedRatio(BigInt(marketMicroUsd) * numerator, denominator);
  return Number(price > 1n ? price : 1n);
}
