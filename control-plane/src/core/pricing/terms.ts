/** The terms of pricing, all of them an operator's to set; shares in millionths. */
import type { compliance, connectivityTiers } from '@iocloud/contracts';
import type { z } from 'zod';
import type { Curve } from './market.js';

export type Connectivity = (typeof connectivityTiers)[number];
export type Compliance = z.infer<typeof compliance>;

export interface PricingTerms {
  /** Of each model (slug in the table of accelerators) that has a market, micro-USD per accelerator and hour. */
  baseMicroUsdPerHour: Readonly<Record<string, number>>;
  curve: Curve;
  connectivityPpm: Readonly<Record<Connectivity, number>>;
  compliancePpm: Readonly<Record<Compliance, number>>;
  /** By region, or by country (ISO 3166-1 alpha-2). */
  placePpm: Readonly<Record<string, number>>;
  commitments: readonly { hours: number; ppm: number }[];
  spotPpm: number;
  /** Bounds of the product of all factors. */
  lowestProductPpm: number;
  highestProductPpm: number;
}

/**
 * The one published price is that of an A100, about 0.70 to 1.20 USD an hour (io.net): its middle is the base price and its
 * ends are floor and ceiling. The table of accelerators states no prices, so other models have a market once an operator
 * sets a base price. Target, smoothing, step and factors are choices of ours.
 */
export const defaultTerms: PricingTerms = {
  baseMicroUsdPerHour: Object.fromEntries(
    ['a100-40-pcie', 'a100-40-sxm', 'a100-80-pcie', 'a100-80-sxm'].map(slug => [slug, 950_000]),
  ),
  curve: {
    targetPpm: 700_000,
    floorPpm: 736_842,
    ceilingPpm: 1_263_158,
    smoothingPpm: 250_000,
    largestStepPpm: 50_000,
  },
  connectivityPpm: { low: 900_000, medium: 1_000_000, high: 1_050_000, ultra: 1_100_000 },
  compliancePpm: {
    soc2: 1_050_000,
    hipaa: 1_080_000,
    gdpr: 1_020_000,
    iso27001: 1_030_000,
    'e2e-encrypted': 1_050_000,
  },
  placePpm: {},
  commitments: [
    { hours: 24, ppm: 970_000 },
    { hours: 168, ppm: 930_000 },
    { hours: 720, ppm: 850_000 },
  ],
  spotPpm: 600_000,
  lowestProductPpm: 300_000,
  highestProductPpm: 2_000_000,
};

/** What is wrong with terms whose fields are each right; null: nothing. */
export function termsFault({ curve, lowestProductPpm, highestProductPpm, commitments }: PricingTerms): string | null {
  if (curve.floorPpm > 1_000_000) return 'curve.floorPpm: the floor cannot be above the base price, 1000000';
  if (curve.ceilingPpm < 1_000_000) return 'curve.ceilingPpm: the ceiling cannot be below the base price, 1000000';
  if (lowestProductPpm > highestProductPpm) return 'lowestProductPpm: it cannot be above highestProductPpm';
  if (new Set(commitments.map(({ hours }) => hours)).size < commitments.length) {
    return 'commitments: the same hours stand there twice';
  }
  return null;
}
