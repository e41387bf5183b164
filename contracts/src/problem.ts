/** Errors as RFC 9457 problem documents; the Ray-compatible routes answer in Ray's own shapes instead. */
import { z } from 'zod';

/** Every way in which a call can fail, with its HTTP status: the closed union behind each problem document. */
export const problemStatus = {
  'bad-request': 400,
  unauthenticated: 401,
  'permission-denied': 403,
  'not-found': 404,
  'already-exists': 409,
  conflict: 409,
  'payload-too-large': 413,
  unsatisfiable: 422,
  'too-many-requests': 429,
  internal: 500,
  unavailable: 503,
} as const;
export type ProblemCode = keyof typeof problemStatus;

export const problem = z
  .object({
    type: z.string().describe('urn:iocloud:problem:<code>; stable, for programs'),
    title: z.string().describe('the code in words'),
    status: z.int(),
    detail: z.string().describe('what was wrong, where, and what to do'),
    instance: z.string().optional().describe('the id under which the server logged the call'),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .describe('one entry for each faulty field'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;
