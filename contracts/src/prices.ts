/** Market prices: what an accelerator of a model costs for an hour. docs/pricing.md has the formula. */
import { z } from 'zod';
import { microUsd } from './requirements.js';

const ppm = z.int().min(0);

export const priceCurve = z
  .object({
    targetPpm: ppm.min(1).max(999_999).describe('utilisation at which the price is the base price, millionths'),
    floorPpm: ppm.min(1).describe('lowest price, in millionths of the base price'),
    ceilingPpm: ppm.max(1_000_000_000).describe('highest price, in millionths of the base price'),
    smoothingPpm: ppm.min(1).max(1_000_000).describe('of the distance to the aim, what is gone in an hour, millionths'),
    largestStepPpm: ppm
      .min(1)
      .max(1_000_000)
      .describe('of the price before, the most it changes in an hour, millionths'),
  })
  .meta({ id: 'PriceCurve' });

export const acceleratorSlug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'a model of the table of accelerators');

export const priceVersion = z
  .object({
    id: z.string().describe('model and hour'),
    model: z.string().describe('in the table of accelerators'),
    microUsdPerGpuHour: microUsd.describe('of one accelerator for an hour, before all factors'),
    validFrom: z.iso.datetime(),
    validUntil: z.iso.datetime().describe('its successor takes over from then; until that is made, this one stands in'),
    beforeMicroUsd: microUsd.describe('the price that it was made from'),
    baseMicroUsd: microUsd,
    aimMicroUsd: microUsd.describe('where the curve was'),
    usedDeviceSeconds: z.int().min(0).describe('in the hour before'),
    offeredDeviceSeconds: z.int().min(0).describe('in the hour before'),
    utilisationPpm: ppm.nullable().describe('millionths; null: nothing was offered'),
    curve: priceCurve,
    madeAt: z.iso.datetime(),
  })
  .meta({ id: 'PriceVersion' });
export type PriceVersion = z.infer<typeof priceVersion>;

const usdPerIo = z
  .string()
  .regex(/^\d{1,9}(\.\d{1,18})?$/)
  .describe('exact decimal, USD for one IO');

export const ioRate = z
  .object({
    usdPerIo: usdPerIo.nullable().describe('the last that enough sources agreed on; null: they never have'),
    at: z.iso.datetime().nullable().describe('of the oldest source that agreed'),
    ageSeconds: z.int().min(0).nullable(),
    usable: z.boolean().describe('false: there is none, or it is too old to be counted with'),
    refusal: z.string().nullable().describe('why the last look gave no new rate; null: it did'),
    lookedAt: z.iso.datetime().nullable(),
    sources: z.array(
      z.object({
        name: z.string(),
        verdict: z.enum(['agrees', 'stale', 'deviates', 'failed']),
        reason: z.string().nullable().describe('of what failed'),
        usdPerIo: usdPerIo.nullable(),
        at: z.iso.datetime().nullable(),
      }),
    ),
  })
  .meta({ id: 'IoRate' });
export type IoRate = z.infer<typeof ioRate>;
