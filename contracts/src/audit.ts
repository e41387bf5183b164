import { z } from 'zod';
import { apiKeyId } from './ids.js';

/** Calls that were refused within one minute and are alike. */
export const refusal = z
  .object({
    id: z.string().describe('of the newest first; `after` goes on behind it'),
    at: z.iso.datetime().describe('the minute in which they came'),
    operation: z
      .string()
      .describe('as the OpenAPI document names it; agent-connection: a machine that could not prove its key'),
    target: z.string().nullable().describe('id in the path'),
    outcome: z.enum(['unauthenticated', 'permission-denied', 'not-found']),
    count: z.int().min(1),
    address: z.string().describe('that the calls came from; that of a proxy where there is one'),
    by: z.enum(['ours', 'others', 'unknown']).describe('whose key it was; unknown: none, or none that was ever valid'),
    keyId: apiKeyId.nullable().describe('of ours; valid or not'),
  })
  .meta({ id: 'Refusal' });
export type Refusal = z.infer<typeof refusal>;
