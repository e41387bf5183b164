/**
 * How far a machine, and the supplier behind it, can be relied on: the mean of a beta distribution over good and bad
 * evidence, where old evidence counts for less (A. Jøsang and R. Ismail, "The Beta Reputation System", 2002).
 *
 *   reputation = (prior.good + good) / (prior.good + prior.bad + good + bad)
 *
 * good and bad: sums of the weights of all evidence, each halved for every `halfLifeMs` of its age. Two numbers and a
 * time hold all of it: what is added later decays from then.
 */
export interface Standing {
  good: number;
  bad: number;
  /** The time that the two sums speak of. Milliseconds since the epoch. */
  asOfMs: number;
}

export type Evidence =
  | { kind: 'attemptSucceeded' | 'attemptInterrupted' | 'drained' }
  /** Of a renter: 1 to 5. */
  | { kind: 'rated'; stars: number };

const dayMs = 86_400_000;
export const halfLifeMs = 30 * dayMs;
/** Who has not been seen yet is trusted about as much as one that failed one job in five. */
const prior = { good: 4, bad: 1 };
/** A lost job costs its renter more than a finished one gives. */
const interruption = 4;
/** Leaving after a notice is no failure, but no merit either. */
const drain = 0.5;
const ratingWeight = 2;

export const unknown: Standing = { good: 0, bad: 0, asOfMs: 0 };

export function withEvidence(standing: Standing, evidence: Evidence, nowMs: number): Standing {
  const { good, bad, asOfMs } = decayed(standing, nowMs);
  const [more, less] = weightsOf(evidence);
  return { good: good + more, bad: bad + less, asOfMs };
}

/** Between 0 and 1; without new evidence it returns to that of a stranger. */
export function reputation(standing: Standing, nowMs: number): number {
  const { good, bad } = decayed(standing, nowMs);
  return (prior.good + good) / (prior.good + prior.bad + good + bad);
}

/** A clock that went back makes nothing older or younger. */
function decayed({ good, bad, asOfMs }: Standing, nowMs: number): Standing {
  const factor = 0.5 ** (Math.max(0, nowMs - asOfMs) / halfLifeMs);
  return { good: good * factor, bad: bad * factor, asOfMs: Math.max(asOfMs, nowMs) };
}

function weightsOf(evidence: Evidence): [good: number, bad: number] {
  switch (evidence.kind) {
    case 'attemptSucceeded':
      return [1, 0];
    case 'attemptInterrupted':
      return [0, interruption];
    case 'drained':
      return [0, drain];
    case 'rated':
      return [(ratingWeight * (evidence.stars - 1)) / 4, (ratingWeight * (5 - evidence.stars)) / 4];
  }
}
