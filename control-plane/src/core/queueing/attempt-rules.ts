/**
 * What is known of an attempt, and what follows from it. The first rule: only proof ends an attempt. A probe that is
 * slow, times out or is refused says something about the way to the head, nothing about the job; however many of them
 * there are, they end nothing. Proof is the head's own word on the job, the agent's word that the head's process has
 * ended, or a machine that has been silent for so long that its lease is over — and that only after the fence is up.
 */

/** What was seen of an attempt, by whoever looked. */
export type Sighting =
  | 'ok'
  | 'slow'
  | 'timedOut'
  | 'refused'
  /** Nothing reaches its machine, nor anything from it. */
  | 'unreachable'
  /** Its head answers and does not know the job. */
  | 'unknownJob'
  /** The agent says that the head's process has ended. */
  | 'headExited'
  /** The machine's lease is over: it was silent for too long (`leaseEndsMs`). */
  | 'leaseOver'
  | 'succeeded'
  | 'failedByUser'
  | 'failedByInfrastructure'
  | 'stopped'
  /** It ended because we told it to make room. */
  | 'preempted';

export type AttemptOutcome = 'succeeded' | 'failed' | 'stopped' | 'lost';

/** Why an attempt was lost. `operator`: we ended it ourselves. */
export type LossCause = 'headLost' | 'machineLost' | 'jobForgotten' | 'infrastructure' | 'preempted';

interface SightingRule {
  /** `alive`: clears every doubt; `doubt`: counts, and ends nothing; `proof`: ends the attempt. */
  says: 'alive' | 'doubt' | 'proof';
  /** So many in a row, nothing else between them, before it is believed. */
  inARow: number;
  ends: { outcome: AttemptOutcome; cause: LossCause | null } | null;
  /** Its machine may still run it: the fence must be up before anything else may run. */
  fenceFirst: boolean;
}

const doubt: SightingRule = { says: 'doubt', inARow: Number.POSITIVE_INFINITY, ends: null, fenceFirst: false };
const proof = (outcome: AttemptOutcome, cause: LossCause | null = null, inARow = 1): SightingRule => ({
  says: 'proof',
  inARow,
  ends: { outcome, cause },
  fenceFirst: cause === 'machineLost',
});

export const sightingRules: Record<Sighting, SightingRule> = {
  ok: { says: 'alive', inARow: 1, ends: null, fenceFirst: false },
  slow: { says: 'alive', inARow: 1, ends: null, fenceFirst: false },
  timedOut: doubt,
  refused: doubt,
  unreachable: doubt,
  // A head that restarts answers before it has read its jobs back.
  unknownJob: proof('lost', 'jobForgotten', 3),
  headExited: proof('lost', 'headLost'),
  leaseOver: proof('lost', 'machineLost'),
  succeeded: proof('succeeded'),
  failedByUser: proof('failed'),
  failedByInfrastructure: proof('lost', 'infrastructure'),
  stopped: proof('stopped'),
  preempted: proof('lost', 'preempted'),
};

/** What has been seen of a live attempt until now. */
export interface AttemptView {
  last: Sighting | null;
  inARow: number;
  /** Sightings since the last that was good. */
  doubts: number;
}

export const unseen: AttemptView = { last: null, inARow: 0, doubts: 0 };

export type AttemptVerdict =
  | { kind: 'carryOn' }
  /** Take its fencing number away first, then see `end` through. */
  | { kind: 'fenceThenEnd'; outcome: AttemptOutcome; cause: LossCause | null }
  | { kind: 'end'; outcome: AttemptOutcome; cause: LossCause | null };

export function see(view: AttemptView, sighting: Sighting): { view: AttemptView; verdict: AttemptVerdict } {
  const rule = sightingRules[sighting];
  const inARow = view.last === sighting ? view.inARow + 1 : 1;
  const next = { last: sighting, inARow, doubts: rule.says === 'alive' ? 0 : view.doubts + 1 };
  if (!rule.ends || inARow < rule.inARow) return { view: next, verdict: { kind: 'carryOn' } };
  return { view: next, verdict: { kind: rule.fenceFirst ? 'fenceThenEnd' : 'end', ...rule.ends } };
}

/**
 * When a silent machine's lease is over. Silence counts only while we could have heard: after a stop of the control plane
 * all machines get their full time again, else its own restart would end every job.
 */
export const leaseEndsMs = (lastHeardMs: number, listeningSinceMs: number, silenceMs: number): number =>
  Math.max(lastHeardMs, listeningSinceMs) + silenceMs;

/** A word about a job counts only with the number of its live attempt: what an older one says is heard and dropped. */
export const isFenced = (attemptNumber: number, liveNumber: number | null): boolean => attemptNumber !== liveNumber;

export interface RetryTerms {
  /** Attempts that may be lost to the infrastructure, the last included. */
  maxAttempts: number;
  firstBackoffMs: number;
  backoffFactor: number;
  maxBackoffMs: number;
  /** After which losses it is tried again. The user's own error is none of them, ever. */
  retryOn: readonly LossCause[];
}

export const defaultRetryTerms: RetryTerms = {
  maxAttempts: 3,
  firstBackoffMs: 2_000,
  backoffFactor: 2,
  maxBackoffMs: 120_000,
  retryOn: ['headLost', 'machineLost', 'jobForgotten', 'infrastructure', 'preempted'],
};

export type NextAttempt = { again: true; notBeforeMs: number } | { again: false; why: 'ended' | 'cause' | 'exhausted' };

/**
 * Does another attempt follow, and from when? Making room for others is no failure: it counts against no limit and waits
 * for nothing. `failures`: attempts lost to the infrastructure, this one included if it is one of them.
 */
export function nextAttempt(
  { outcome, cause }: { outcome: AttemptOutcome; cause: LossCause | null },
  failures: number,
  terms: RetryTerms,
  nowMs: number,
): NextAttempt {
  if (outcome !== 'lost' || cause === null) return { again: false, why: 'ended' };
  if (!terms.retryOn.includes(cause)) return { again: false, why: 'cause' };
  if (cause === 'preempted') return { again: true, notBeforeMs: nowMs };
  if (failures >= terms.maxAttempts) return { again: false, why: 'exhausted' };
  const backoffMs = Math.min(terms.maxBackoffMs, terms.firstBackoffMs * terms.backoffFactor ** (failures - 1));
  return { again: true, notBeforeMs: nowMs + backoffMs };
}
