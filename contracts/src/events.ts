import { z } from 'zod';

export const eventKinds = ['job', 'cluster', 'node', 'account'] as const;

/** A line of the tenant's history, in words that a person reads; also each message of the server-sent event stream. */
export const event = z
  .object({
    sequence: z.int().describe('grows; the `id:` of the server-sent event, to resume from'),
    at: z.iso.datetime(),
    subjectKind: z.enum(eventKinds),
    subject: z.string().describe('submission id, cluster id, node id, or id of a user, key or tenant'),
    reason: z.string().describe('one CamelCase word, stable, for programs'),
    message: z.string(),
    severity: z.enum(['info', 'warning', 'error']),
  })
  .meta({ id: 'Event' });
export type Event = z.infer<typeof event>;
export type EventSubject = Event['subjectKind'];
