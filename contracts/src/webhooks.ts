/** Webhooks: events of the tenant, sent to addresses that it names, as Standard Webhooks 1.0 says. */
import { z } from 'zod';
import { event } from './events.js';
import { deliveryId, webhookId } from './ids.js';

export const webhookFilter = z
  .string()
  .regex(
    /^(\*|(job|cluster|node|account)\.(\*|[A-Z][A-Za-z]{1,63}))$/,
    'expected "*", "cluster.*" or a kind of event such as "job.JobFailed"',
  );

export const webhook = z
  .object({
    id: webhookId,
    url: z.string(),
    events: z.array(webhookFilter),
    description: z.string(),
    createdAt: z.iso.datetime(),
    disabledAt: z.iso.datetime().nullable(),
    disabledReason: z.string().nullable(),
    failingSince: z.iso.datetime().nullable().describe('since when no delivery has arrived'),
    previousSecretUntil: z.iso.datetime().nullable().describe('until then messages are signed with both secrets'),
  })
  .meta({ id: 'Webhook' });
export type Webhook = z.infer<typeof webhook>;

export const createWebhook = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }).max(2_000),
    events: z.array(webhookFilter).min(1).max(50),
    description: z.string().max(200).default(''),
  })
  .meta({ id: 'CreateWebhook' });
export const changeWebhook = z
  .strictObject({
    url: createWebhook.shape.url.optional(),
    events: createWebhook.shape.events.optional(),
    description: z.string().max(200).optional(),
    enabled: z.boolean().optional(),
  })
  .meta({ id: 'ChangeWebhook' });
export const rotateWebhook = z
  .strictObject({
    overlapSeconds: z.int().min(0).max(604_800).default(86_400).describe('how long the secret before is used too'),
  })
  .meta({ id: 'RotateWebhook' });
export const webhookWithSecret = webhook
  .extend({ secret: z.string().describe('whsec_…; shown this once') })
  .meta({ id: 'WebhookWithSecret' });

export const webhookDelivery = z
  .object({
    id: deliveryId.describe('the `webhook-id` of the message, the same at each attempt'),
    type: z.string(),
    createdAt: z.iso.datetime(),
    state: z.enum(['pending', 'delivered', 'failed']),
    attempts: z.int(),
    nextAttemptAt: z.iso.datetime().nullable(),
    lastAttemptAt: z.iso.datetime().nullable(),
    lastStatus: z.int().nullable(),
    lastError: z.string().nullable(),
    lastDurationMs: z.int().nullable(),
  })
  .meta({ id: 'WebhookDelivery' });
export type WebhookDelivery = z.infer<typeof webhookDelivery>;

/** What is sent. */
export const webhookMessage = z
  .object({
    type: z.string().describe('subject and reason of the event, such as job.JobFailed'),
    timestamp: z.iso.datetime().describe('of the event'),
    data: event.omit({ at: true }).partial(),
  })
  .meta({ id: 'WebhookMessage' });
export type WebhookMessage = z.infer<typeof webhookMessage>;
