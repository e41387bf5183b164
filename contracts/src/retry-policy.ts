/**
 * What a job wants done when an attempt of it does not succeed. Metadata values are strings on Ray's wire, so each key
 * parses its own text; `retryPolicyOf` is the one reader of them.
 */
import { z } from 'zod';

export const retryCauses = ['infrastructure', 'error'] as const;
/** `infrastructure`: head, machine, network or cluster were lost. `error`: the user's own program failed. */
export type RetryCause = (typeof retryCauses)[number];

/** Defaults: attempts in all; the first pause; what a job may take to end when it is asked to. Seconds. */
export const defaultMaxAttempts = 3;
const defaultBackoffSeconds = 1;
export const defaultGraceSeconds = 30;
/** The doubled pause stops growing here, or at the first pause where that is longer. Seconds. */
export const longestBackoffSeconds = 300;
const maxFirstBackoffSeconds = 86_400;

const listOfCauses = new RegExp(`^(none|(${retryCauses.join('|')})(,(${retryCauses.join('|')}))*)$`);
const wholeSeconds = (text: string, most: number) => /^\d{1,6}$/.test(text) && Number(text) <= most;

export const retryMetadata = {
  'io.max_attempts': z
    .string()
    .regex(/^([1-9]|10)$/, 'a whole number from 1 to 10')
    .optional()
    .describe(`attempts in all, those that were moved away not counted; default ${defaultMaxAttempts}`),
  'io.retry_on': z
    .string()
    .regex(listOfCauses, 'none, infrastructure, error, or infrastructure,error')
    .optional()
    .describe('failures after which the job runs again; default infrastructure: never after its own error'),
  'io.retry_backoff_seconds': z
    .string()
    .refine(text => wholeSeconds(text, maxFirstBackoffSeconds), `whole seconds from 0 to ${maxFirstBackoffSeconds}`)
    .optional()
    .describe(
      `pause before the second attempt; doubled each time, up to ${longestBackoffSeconds} s; default ${defaultBackoffSeconds}`,
    ),
  'io.grace_seconds': z
    .string()
    .refine(text => wholeSeconds(text, 3_600) && Number(text) >= 1, 'whole seconds from 1 to 3600')
    .optional()
    .describe(
      `time from SIGTERM to SIGKILL when the job is stopped or moved, to write a checkpoint; default ${defaultGraceSeconds}`,
    ),
};

export interface RetryPolicy {
  maxAttempts: number;
  on: readonly RetryCause[];
  /** Pause before the second attempt. */
  backoffSeconds: number;
  graceSeconds: number;
}

/** Of metadata that the schema has accepted. */
export function retryPolicyOf(metadata: Readonly<Record<string, string>> | null | undefined): RetryPolicy {
  const number = (key: keyof typeof retryMetadata, fallback: number) =>
    metadata?.[key] === undefined ? fallback : Number(metadata[key]);
  const named = (metadata?.['io.retry_on'] ?? 'infrastructure').split(',');
  return {
    maxAttempts: number('io.max_attempts', defaultMaxAttempts),
    on: retryCauses.filter(cause => named.includes(cause)),
    backoffSeconds: number('io.retry_backoff_seconds', defaultBackoffSeconds),
    graceSeconds: number('io.grace_seconds', defaultGraceSeconds),
  };
}

/** Pause after so many attempts (1 and up) that count. Milliseconds. */
export function retryDelayMs(policy: Pick<RetryPolicy, 'backoffSeconds'>, attempts: number): number {
  const longest = Math.max(longestBackoffSeconds, policy.backoffSeconds);
  return 1_000 * Math.min(longest, policy.backoffSeconds * 2 ** Math.max(0, attempts - 1));
}

/** Set in every attempt of a job; a submission that sets one of them itself is refused. */
export const attemptVariables = [
  'IOCLOUD_CHECKPOINT_DIR',
  'IOCLOUD_ATTEMPT',
  'IOCLOUD_SUBMISSION_ID',
  'IOCLOUD_ARRAY_INDEX',
  'IOCLOUD_ARRAY_SIZE',
] as const;
