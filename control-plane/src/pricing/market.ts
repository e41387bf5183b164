/** What a machine that takes the market price costs now. */
import type { NodeTerms } from '@iocloud/contracts';
import { offeringFactors, type PricingTerms, priced } from '../core/pricing/index.js';
import type { Queryable } from '../platform/index.js';
import type { PriceBasis } from './ports.js';
import { newestVersions, readTerms } from './store.js';

export interface Market {
  /** Market prices by model, micro-USD per accelerator and hour, with the versions that they are of. */
  prices: ReadonlyMap<string, { id: string; microUsdPerGpuHour: number }>;
  terms: PricingTerms;
}

export async function marketOf(db: Queryable): Promise<Market> {
  const [versions, terms] = [await newestVersions(db), await readTerms(db)];
  return {
    prices: new Map(versions.map(({ model, id, microUsdPerGpuHour }) => [model, { id, microUsdPerGpuHour }])),
    terms,
  };
}

/**
 * Micro-USD for an accelerator and hour: the market price of its model with the factors for what the machine is, and never
 * less than the owner's own price. Of several models the dearest counts, as a machine has one price. Where a model has no
 * market the own price is all there is.
 */
export function marketPriceOf(stated: NodeTerms, models: readonly string[], { prices, terms }: Market): number {
  const factors = offeringFactors(terms, stated);
  const market = models.flatMap(model => {
    const price = prices.get(model);
    return price === undefined ? [] : priced(price.microUsdPerGpuHour, factors, terms);
  });
  return Math.max(stated.microUsdPerGpuHour, ...market);
}

/** What `marketPriceOf` is made of. */
export function marketBasisOf(
  stated: NodeTerms,
  models: readonly string[],
  { prices, terms }: Market,
): NonNullable<PriceBasis['market']> {
  const versions = models.flatMap(model => prices.get(model) ?? []);
  return { versions, factors: offeringFactors(terms, stated) };
}
