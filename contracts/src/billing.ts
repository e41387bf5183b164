/** What a tenant sets of its billing, and how it stands. */
import { z } from 'zod';
import { clusterId, tenantId } from './ids.js';
import { asset, holdReference } from './ledger.js';

const microUsd = z.int().min(0);
const cap = microUsd.nullable();

export const changeBilling = z
  .strictObject({
    paysIn: z
      .array(asset)
      .min(1)
      .refine(assets => new Set(assets).size === assets.length, 'an asset is named twice')
      .describe('the first of them that covers an order pays for it')
      .optional(),
    dayCapMicroUsd: cap.describe('of usage before fees, in a day (UTC); null takes it back').optional(),
    monthCapMicroUsd: cap.describe('of usage before fees, in a month (UTC); null takes it back').optional(),
  })
  .meta({ id: 'ChangeBilling' });
export type ChangeBilling = z.infer<typeof changeBilling>;

export const billing = z
  .object({
    tenantId,
    mode: z.enum(['off', 'prepaid']).describe('off: nothing is held or paid'),
    paysIn: z.array(asset),
    dayCapMicroUsd: cap,
    monthCapMicroUsd: cap,
    spentTodayMicroUsd: z.int().describe('charged usage before fees, by the day (UTC) in which it was'),
    spentThisMonthMicroUsd: z.int(),
    accruedMicroUsd: z.int().describe('used and not charged yet, at the most'),
    microUsdPerHour: microUsd.describe('of what runs and is paid for'),
    hoursLeft: z
      .number()
      .nullable()
      .describe('for which what is held and available pays for what runs; null: nothing does'),
    lowSince: z.iso.datetime().nullable().describe('since when that has been less than it is warned of'),
    orders: z.array(
      z.object({
        id: holdReference,
        clusterId,
        asset,
        held: z.string().describe('left in its hold, decimal'),
        microUsdPerHour: microUsd,
        paidUntil: z.iso.datetime().nullable().describe('null: no end in sight'),
        shortage: z.string().describe('why it is paid for no longer'),
      }),
    ),
    waitingLines: z.int().describe('of usage that is not charged yet'),
    waitingReason: z.string().nullable().describe('what they wait for, other than their turn'),
  })
  .meta({ id: 'Billing' });
export type Billing = z.infer<typeof billing>;
