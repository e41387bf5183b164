/** What an order would cost: the cheapest model that meets the requirements, at market price and with all factors. */
import type { Requirements } from '@iocloud/contracts';
import { type Factor, type Order, offeringFactors, orderFactors, priced } from './factors.js';
import type { PricingTerms } from './terms.js';

export interface MarketPrice {
  model: string;
  versionId: string;
  microUsd: number;
}

export interface Estimate extends MarketPrice {
  factors: Factor[];
  microUsdPerGpuHour: number;
}

/** Cheapest first, then by name. */
export function estimates(
  prices: readonly MarketPrice[],
  requirements: Requirements,
  order: Order,
  terms: PricingTerms,
): Estimate[] {
  return prices
    .map(price => ({ ...price, ...dearest(price.microUsd, requirements, order, terms) }))
    .sort((a, b) => a.microUsdPerGpuHour - b.microUsdPerGpuHour || (a.model < b.model ? -1 : 1));
}

/** Of several places any may be the one that is got: the estimate is that of the dearest. */
function dearest(
  marketMicroUsd: number,
  requirements: Requirements,
  order: Order,
  terms: PricingTerms,
): Pick<Estimate, 'factors' | 'microUsdPerGpuHour'> {
  const countries = requirements.countries ?? [null];
  const regions = requirements.regions ?? [null];
  const all = regions.flatMap(region =>
    countries.map(country => {
      const offering = {
        connectivity: requirements.minConnectivity ?? null,
        compliance: requirements.compliance ?? [],
        region,
        country,
      };
      const factors = [...offeringFactors(terms, offering), ...orderFactors(terms, order)];
      return { factors, microUsdPerGpuHour: priced(marketMicroUsd, factors, terms) };
    }),
  );
  return all.reduce((most, each) => (each.microUsdPerGpuHour > most.microUsdPerGpuHour ? each : most));
}

/** Null where it is past what can be told exactly. */
export function totals(
  microUsdPerGpuHour: number,
  gpus: number,
  hours: number,
): { microUsdPerHour: number; totalMicroUsd: number } | null {
  const perHour = BigInt(microUsdPerGpuHour) * BigInt(gpus);
  const total = perHour * BigInt(hours);
  if (total > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  return { microUsdPerHour: Number(perHour), totalMicroUsd: Number(total) };
}
