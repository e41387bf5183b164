/** IOCLOUD_PRICING_FILE: the operator's terms of pricing. What it does not say keeps its default. */
import { readFile } from 'node:fs/promises';
import { acceleratorSlug, compliance, connectivityTiers, priceCurve } from '@iocloud/contracts';
import { z } from 'zod';
import { acceleratorOf } from '../core/matching/index.js';
import { defaultTerms, type PricingTerms, termsFault } from '../core/pricing/index.js';
import { ConfigError } from '../platform/index.js';

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
  lowestProductPpm: factor.optional(),
  highestProductPpm: factor.optional(),
});

/** Throws ConfigError, in one line, where the file cannot be read or says what cannot be. */
export async function loadTerms(file: string | undefined): Promise<PricingTerms> {
  if (file === undefined) return defaultTerms;
  const refuse = (why: string, cause?: unknown) =>
    new ConfigError(`IOCLOUD_PRICING_FILE: ${why} (docs/pricing.md)`, { cause });
  const text = await readFile(file, 'utf8').catch(error => {
    throw refuse(`${file} cannot be read: ${error.code ?? error}`, error);
  });
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
    throw refuse(`${file}: ${faults.join('; ')}`);
  }
  const terms = merged(parsed.data);
  const fault = termsFault(terms);
  if (fault) throw refuse(`${file}: ${fault}`);
  return terms;
}

/** Undefined, which no schema takes, where it is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
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
