/** IOCLOUD_PRICING_FILE: the operator's terms of pricing. What it does not say keeps its default. */
import { acceleratorSlug, compliance, connectivityTiers, priceCurve } from '@iocloud/contracts';
import { z } from 'zod';
import { acceleratorOf } from '../core/matching/index.js';
import { defaultTerms, type Guards, type PricingTerms, termsFault } from '../core/pricing/index.js';
import { faultOf, readStated } from '../platform/index.js';
import { type SourceConfig, sourceSchema } from './io-rate/index.js';

/** A factor that moves a price: from a thousandth to a thousand times. */
const factor = z.int().min(1_000).max(1_000_000_000);

const schema = z.strictObject({
  baseMicroUsdPerHour: z
    .record(
      acceleratorSlug.refine(slug => acceleratorOf(slug) !== undefined, 'no model of the table of accelerators'),
      z.int().min(1).max(1_000_000_000_000),
    )
    .optional()
    .describe('base price of each model that shall have a market; added to the defaults'),
  curve: z.strictObject(priceCurve.partial().shape).optional(),
  connectivityPpm: z.partialRecord(z.enum(connectivityTiers), factor).optional(),
  compliancePpm: z.partialRecord(compliance, factor).optional(),
  placePpm: z.record(z.string().regex(/^([A-Z]{2}|[a-z0-9][a-z0-9-]{0,62})$/), factor).optional(),
  commitments: z
    .array(z.strictObject({ hours: z.int().min(1).max(87_600), ppm: factor }))
    .max(16)
    .optional()
    .describe('in place of the defaults'),
  spotPpm: factor.optional(),
  ioRate: z
    .strictObject({
      sources: z
        .array(sourceSchema)
        .min(1)
        .max(16)
        .refine(all => new Set(all.map(({ name }) => name)).size === all.length, 'two sources have the same name'),
      minSources: z.int().min(1).max(16).default(1),
      maxAgeSeconds: z.int().min(60).max(86_400).default(900),
      maxDeviationPpm: z.int().min(0).max(500_000).default(20_000),
    })
    .refine(({ sources, minSources }) => minSources <= sources.length, 'minSources: there are fewer sources than that')
    .optional(),
  lowestProductPpm: factor.optional(),
  highestProductPpm: factor.optional(),
});

export interface Pricing {
  terms: PricingTerms;
  /** Of the rate of IO; null: none is configured. */
  sources: SourceConfig[] | null;
  guards: Guards;
}

const defaultGuards: Guards = { minSources: 1, maxAgeMs: 900_000, maxDeviationPpm: 20_000 };

/** Throws ConfigError, in one line, where the file cannot be read or says what cannot be. */
export async function loadPricing(file: string | undefined): Promise<Pricing> {
  if (file === undefined) return { terms: defaultTerms, sources: null, guards: defaultGuards };
  const named = { key: 'IOCLOUD_PRICING_FILE', file, docs: 'docs/pricing.md' };
  const stated = await readStated(named, schema);
  const terms = merged(stated);
  const fault = termsFault(terms);
  if (fault) throw faultOf(named, fault);
  const { ioRate } = stated;
  if (!ioRate) return { terms, sources: null, guards: defaultGuards };
  const { sources, minSources, maxAgeSeconds, maxDeviationPpm } = ioRate;
  return { terms, sources, guards: { minSources, maxAgeMs: maxAgeSeconds * 1_000, maxDeviationPpm } };
}

function merged(stated: z.infer<typeof schema>): PricingTerms {
  return {
    baseMicroUsdPerHour: { ...defaultTerms.baseMicroUsdPerHour, ...stated.baseMicroUsdPerHour },
    curve: { ...defaultTerms.curve, ...stated.curve } as PricingTerms['curve'],
    connectivityPpm: { ...defaultTerms.connectivityPpm, ...stated.connectivityPpm },
    compliancePpm: { ...defaultTerms.compliancePpm, ...stated.compliancePpm },
    placePpm: { ...defaultTerms.placePpm, ...stated.placePpm },
    commitments: stated.commitments ?? defaultTerms.commitments,
    spotPpm: stated.spotPpm ?? defaultTerms.spotPpm,
    lowestProductPpm: stated.lowestProductPpm ?? defaultTerms.lowestProductPpm,
    highestProductPpm: stated.highestProductPpm ?? defaultTerms.highestProductPpm,
  };
}
