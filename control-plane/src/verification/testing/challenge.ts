/** One challenge of a machine of testing/machine.ts, and its judgement. */
import { randomInt } from 'node:crypto';
import type { Duplex } from 'node:stream';
import {
  type Broken,
  type ChallengeContext,
  type Expectation,
  type Judgement,
  judge,
  type Subject,
  type Transcript,
} from '../../core/verification/index.js';
import { signatureCheck } from '../device-signature.js';
import { converse } from '../session.js';
import { type Clock, hash, randomHex, smallWork } from './machine.js';

export const subject: Subject = {
  index: 0,
  uuid: 'GPU-1',
  model: 'NVIDIA H100 80GB HBM3',
  vendor: 'nvidia',
  memoryBytes: 80 * 2 ** 30,
  cpus: 8,
};

/** A pass takes a second, and may take 1.3. */
export const expectation: Expectation = {
  work: smallWork,
  basis: 'recorded',
  typicalMs: 1_000,
  slowestMs: 1_300,
  test: { passes: smallWork.passes, needed: 4, tries: 2 },
};

export const contextFor = (deviceKey: string, changes: Partial<ChallengeContext> = {}): ChallengeContext => ({
  nodeId: 'nd_00000000000000000001',
  deviceKey,
  deviceUuid: subject.uuid,
  deviceModel: subject.model,
  hour: '2026-11-26T19:00:00.000Z',
  work: smallWork,
  seed: randomHex(),
  ...changes,
});

export interface Outcome {
  transcript: Transcript;
  judgement: Judgement;
  /** What gave it away; null: nothing. */
  by: Broken['how'] | 'time' | null;
}

export async function challenged(
  stream: Duplex,
  deviceKey: string,
  clock: Clock,
  options: { context?: ChallengeContext; uniform?(below: number): number } = {},
): Promise<Outcome> {
  const transcript = await converse({
    stream,
    context: options.context ?? contextFor(deviceKey),
    subject,
    expectation,
    hash,
    isSigned: signatureCheck(deviceKey),
    uniform: options.uniform ?? (below => randomInt(below)),
    clockMs: () => clock.ms,
    together: async () => undefined,
    onStep: async () => undefined,
  });
  const judgement = judge(transcript, expectation);
  return { transcript, judgement, by: judgement.passed ? null : (transcript.broken?.how ?? 'time') };
}
