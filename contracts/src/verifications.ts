/** Verdicts on whether devices are what they say, and appeals against them. */
import { z } from 'zod';
import { nodeId, verificationId } from './ids.js';
import { proofWork } from './proof-protocol.js';

export const verificationState = z
  .enum(['due', 'challenged', 'committed', 'opened', 'judged'])
  .meta({ id: 'VerificationState' });
export type VerificationState = z.infer<typeof verificationState>;

/**
 * `missed`: it could not be challenged in its hour, as it was offline. `leased`: nor could it, for it was leased throughout,
 * which speaks for it as much as against it. `void`: an appeal was accepted.
 */
export const verdict = z.enum(['passed', 'failed', 'missed', 'leased', 'void']).meta({ id: 'Verdict' });
export type Verdict = z.infer<typeof verdict>;

export const verificationPass = z
  .object({
    pass: z.int().min(0).describe('0: the first layer, whose time is not judged'),
    elapsedMs: z.number().min(0).describe("by the control plane's clock: from the key going out to the root coming in"),
    networkMs: z.number().min(0).describe('taken off for the way there and back'),
  })
  .meta({ id: 'VerificationPass' });
export type VerificationPass = z.infer<typeof verificationPass>;

export const verificationCheck = z
  .object({
    name: z.enum(['answered', 'signed', 'kept-to-commitment', 'computed-right', 'in-time']),
    passed: z.boolean(),
    found: z.string().describe('what was found, in words'),
  })
  .meta({ id: 'VerificationCheck' });
export type VerificationCheck = z.infer<typeof verificationCheck>;

export const appeal = z
  .object({
    reason: z.string(),
    filedBy: z.string().describe('user id'),
    filedAt: z.iso.datetime(),
    decision: z.enum(['accepted', 'rejected']).nullable().describe('null: nobody has decided yet'),
    decisionReason: z.string().nullable(),
    decidedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Appeal' });
export type Appeal = z.infer<typeof appeal>;

export const verification = z
  .object({
    id: verificationId,
    nodeId,
    device: z
      .object({
        index: z.int().nullable().describe("null: the machine's processors and memory"),
        uuid: z.string(),
        model: z.string(),
      })
      .describe('as the machine stated it at that time'),
    hour: z.iso.datetime().describe('the start of the hour that it is for'),
    state: verificationState,
    tries: z.int().describe('challenges so far: one that failed is given once more before it counts'),
    dueAt: z.iso.datetime().nullable().describe('null until the verdict: when a challenge comes is not told before'),
    verdict: verdict.nullable(),
    reason: z.string().describe('the verdict in a sentence; empty before it'),
    work: proofWork.nullable(),
    basis: z
      .enum(['recorded', 'data-sheet', 'own-record', 'nothing'])
      .nullable()
      .describe('what its times were judged by: see docs/verification.md'),
    typicalMs: z.number().nullable().describe('a pass of a device of this model'),
    slowestMs: z.number().nullable().describe('a pass that takes longer is late'),
    passesNeeded: z.int().nullable().describe('so many have to be in time'),
    passes: z.array(verificationPass),
    checks: z.array(verificationCheck),
    seed: z.string().nullable().describe('of the last try, once judged: with it anybody can compute the keys again'),
    judgedAt: z.iso.datetime().nullable(),
    appeal: appeal.nullable(),
  })
  .meta({ id: 'Verification' });
export type Verification = z.infer<typeof verification>;

export const fileAppeal = z
  .strictObject({ reason: z.string().trim().min(1).max(2_000).describe('why the verdict is wrong') })
  .meta({ id: 'FileAppeal' });
export const decideAppeal = z
  .strictObject({
    decision: z.enum(['accepted', 'rejected']).describe('accepted: the verdict is void, and what it did is taken back'),
    reason: z.string().trim().min(1).max(2_000).describe('told to the supplier'),
  })
  .meta({ id: 'DecideAppeal' });
