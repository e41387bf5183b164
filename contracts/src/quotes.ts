/** What an order of accelerators would cost at market prices, before it is made. */
import { z } from 'zod';
import { quoteId } from './ids.js';
import { microUsd, requirements } from './requirements.js';

const hours = z.int().max(87_600);

export const quoteRequest = z
  .strictObject({
    requirements: requirements.prefault({}),
    gpus: z.int().min(1).max(1_000_000).default(1).describe('accelerators, in all'),
    hours: hours.min(1).describe('for how long'),
    commitmentHours: hours.min(0).default(0).describe('paid for in any case; at most `hours`'),
    spot: z.boolean().default(false).describe('may be stopped for more urgent work'),
  })
  .refine(({ hours, commitmentHours }) => commitmentHours <= hours, {
    error: 'more hours are committed to than ordered',
    path: ['commitmentHours'],
  })
  .meta({ id: 'QuoteRequest' });
export type QuoteRequest = z.infer<typeof quoteRequest>;

export const quote = z
  .object({
    id: quoteId,
    createdAt: z.iso.datetime(),
    validUntil: z.iso.datetime().describe('it can be read until then'),
    request: quoteRequest,
    model: z.string().describe('the cheapest that meets the requirements'),
    priceVersionId: z.string().describe('the version that it was made from'),
    marketMicroUsd: microUsd.describe('of that version, for an accelerator and hour'),
    factors: z
      .array(z.object({ reason: z.string(), ppm: z.int().min(1) }))
      .describe('what the market price is multiplied with, in millionths; the product is rounded once'),
    microUsdPerGpuHour: microUsd,
    microUsdPerHour: microUsd.describe('of all accelerators'),
    totalMicroUsd: microUsd.describe('of all accelerators for all hours'),
    io: z
      .object({
        usdPerIo: z.string().describe('exact decimal'),
        at: z.iso.datetime(),
        units: z.string().regex(/^\d+$/).describe('of 10⁻⁸ IO: the total, rounded up'),
      })
      .nullable()
      .describe('null: no rate of IO is usable, `iocloud price io` says why'),
    alternatives: z
      .array(z.object({ model: z.string(), priceVersionId: z.string(), microUsdPerGpuHour: microUsd }))
      .describe('other models that meet the requirements, the cheapest first'),
  })
  .meta({ id: 'Quote' });
export type Quote = z.infer<typeof quote>;
