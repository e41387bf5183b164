/** What placement would do, and why: the answer of a dry run. */
import { z } from 'zod';
import { nodeId } from './ids.js';
import { connectivity, microUsd } from './requirements.js';

/** Each from 0 to 1, 1 the best; the formula is in ARCHITECTURE.md. */
export const scoreParts = z
  .object({
    price: z.number(),
    speed: z.number(),
    place: z.number(),
    reputation: z.number(),
    stake: z.number(),
    load: z.number(),
    fit: z.number().describe('how well what is left of the machine can still be used'),
  })
  .meta({ id: 'ScoreParts' });

export const candidate = z
  .object({
    nodeId: nodeId.nullable().describe('null: the machine is another tenant’s'),
    name: z.string().nullable(),
    accelerator: z.string().nullable().describe('model in the table of accelerators'),
    country: z.string().nullable(),
    region: z.string().nullable(),
    connectivity: connectivity.nullable(),
    latencyMs: z.number().nullable().describe('estimated round trip to `near`; null where one place is not known'),
    microUsdPerHour: microUsd,
    score: z.number(),
    parts: scoreParts,
  })
  .meta({ id: 'Candidate' });
export type Candidate = z.infer<typeof candidate>;

export const explanation = z
  .object({
    outcome: z
      .enum(['now', 'later', 'never'])
      .describe(
        'now: there is room; later: there would be if it were free; never: no machine that is enrolled will do',
      ),
    message: z.string().describe('all of it in a sentence or two'),
    expectedStartAt: z.iso.datetime().nullable().describe('null: nothing that is known says when'),
    constraints: z
      .array(
        z.object({
          constraint: z.string().describe('the requirement in words'),
          machines: z.int().describe('machines that meet it together with all constraints before it'),
        }),
      )
      .describe('in order: how each constraint thins the machines out'),
    alternatives: z
      .array(
        z.object({
          change: z.string().describe('the one thing to be given up'),
          machines: z.int().describe('machines that would do then'),
          microUsdPerHour: microUsd.nullable().describe('price of the cheapest of them'),
        }),
      )
      .describe('where nothing will do: what would help, the nearest first'),
    candidates: z.array(candidate).describe('where there is room now, best first'),
    microUsdPerHour: microUsd.nullable().describe('price of the best; null where there is no room now'),
    warmCluster: z.string().nullable().describe('name of the running cluster that the job would go to'),
  })
  .meta({ id: 'Explanation' });
export type Explanation = z.infer<typeof explanation>;
