/**
 * How far a machine, and the supplier behind it, can be relied on: the mean of a beta distribution over good and bad
 * evidence, where old evidence counts for less (A. Jøsang and R. Ismail, "The Beta Reputation System", 2002).
 *
 *   reputation = (strength · expected + good) / (strength + good + bad)
 *
 * good and bad: sums of the weights of all evidence, each halved for every `halfLifeMs` of its age. Two numbers and a
 * time hold all of it: what is added later decays from then, and the order in which it is added changes nothing.
 * expected: what is held of one that nothing is known of, with the weight of `strength` pieces of evidence. Of a supplier
 * it is `stranger`; of a machine it is the reputation of its supplier's other machines.
 *
 * | evidence           | good        | bad         | what happened                                                      |
 * | ------------------ | ----------- | ----------- | ------------------------------------------------------------------ |
 * | attemptEnded       | 1           |             | the job's try came to its own end there, be it an error of its own |
 * | attemptInterrupted |             | 4           | it was cut off: its head, its machine or the agent was lost        |
 * | rayNodeLost        |             | 2           | a Ray node, head or worker, that was ready ended or was lost       |
 * | drained            |             | 0.5         | it was moved away, with notice, for the machine was to be left     |
 * | challengeFailed    |             | 8           | it failed to prove that it is what it says                         |
 * | challengeVoided    |             | −8          | an appeal against that was accepted: of the same time, it takes it back |
 * | rated, s stars     | 2 (s−1) / 4 | 2 (5−s) / 4 | what its renter said of it                                         |
 *
 * What one renter tells of a machine or supplier counts for `voice` together at most: beyond that its newer evidence takes
 * the place of its older. So whoever kills Ray nodes on purpose, or rates everything 1, cannot ruin a name that others made.
 *
 * No evidence is: a try that its user stopped, one that made room for another job, and one whose runtime environment
 * could not be set up, for which either side may be to blame.
 */
export interface Standing {
  good: number;
  bad: number;
  /** The time that the two sums speak of. Milliseconds since the epoch. */
  asOfMs: number;
}

export type Evidence =
  | {
      kind: 'attemptEnded' | 'attemptInterrupted' | 'rayNodeLost' | 'drained' | 'challengeFailed' | 'challengeVoided';
    }
  /** Of a renter: 1 to 5. */
  | { kind: 'rated'; stars: number };

const dayMs = 86_400_000;
export const halfLifeMs = 30 * dayMs;
/** Who has not been seen yet is trusted about as much as one that failed one job in five. */
const stranger = 0.8;
const strength = 5;
/** A lost job costs its renter more than a finished one gives. */
const interruption = 4;
/** The cluster goes on, or is counted by its interrupted jobs besides. */
const rayNode = 2;
/** Leaving after a notice is no failure, but no merit either. */
const drain = 0.5;
const ratingWeight = 2;
/** Half of what one renter can say at all: the control plane has looked itself. */
const challenge = 8;
/** So many finished jobs, and no more, can one renter's evidence weigh. */
export const voice = 20;

export const unknown: Standing = { good: 0, bad: 0, asOfMs: 0 };

/** Evidence may come late: what is older than the standing comes in at what it is worth by then. */
export function withEvidence(standing: Standing, evidence: Evidence, happenedAtMs: number): Standing {
  const { good, bad, asOfMs } = decayed(standing, happenedAtMs);
  const [more, less] = weightsOf(evidence);
  const worth = worthAfter(asOfMs - happenedAtMs);
  return { good: good + more * worth, bad: Math.max(0, bad + less * worth), asOfMs };
}

/** The same with all evidence of one renter, its `share` of the standing, held to `voice`. */
export function withOneVoice(
  { standing, share }: { standing: Standing; share: Standing },
  evidence: Evidence,
  happenedAtMs: number,
): { standing: Standing; share: Standing } {
  const asOfMs = Math.max(standing.asOfMs, share.asOfMs, happenedAtMs);
  const [all, before] = [decayed(standing, asOfMs), decayed(share, asOfMs)];
  const told = decayed(withEvidence(share, evidence, happenedAtMs), asOfMs);
  const heard = Math.min(1, voice / (told.good + told.bad));
  const after = { good: heard * told.good, bad: heard * told.bad, asOfMs };
  const changed = (side: 'good' | 'bad') => Math.max(0, all[side] + after[side] - before[side]);
  return { standing: { good: changed('good'), bad: changed('bad'), asOfMs }, share: after };
}

/** Between 0 and 1; without new evidence it returns to what is expected. */
export function reputation(standing: Standing, nowMs: number, expected = stranger): number {
  const { good, bad } = decayed(standing, nowMs);
  return (strength * expected + good) / (strength + good + bad);
}

/**
 * Of a machine: what is known of it, before the reputation of its supplier's other machines. `supplier` has the evidence
 * of all of them, this one's included, which is taken out again so that nothing counts twice.
 */
export function machineReputation(own: Standing, supplier: Standing, nowMs: number): number {
  const mine = decayed(own, nowMs);
  const all = decayed(supplier, nowMs);
  const good = Math.max(0, all.good - mine.good);
  const bad = Math.max(0, all.bad - mine.bad);
  return reputation(own, nowMs, reputation({ good, bad, asOfMs: nowMs }, nowMs));
}

/** A clock that went back makes nothing older or younger. */
function decayed({ good, bad, asOfMs }: Standing, nowMs: number): Standing {
  const worth = worthAfter(nowMs - asOfMs);
  return { good: good * worth, bad: bad * worth, asOfMs: Math.max(asOfMs, nowMs) };
}

const worthAfter = (ageMs: number): number => 0.5 ** (Math.max(0, ageMs) / halfLifeMs);

function weightsOf(evidence: Evidence): [good: number, bad: number] {
  switch (evidence.kind) {
    case 'attemptEnded':
      return [1, 0];
    case 'attemptInterrupted':
      return [0, interruption];
    case 'rayNodeLost':
      return [0, rayNode];
    case 'drained':
      return [0, drain];
    case 'challengeFailed':
      return [0, challenge];
    case 'challengeVoided':
      return [0, -challenge];
    case 'rated':
      return [(ratingWeight * (evidence.stars - 1)) / 4, (ratingWeight * (5 - evidence.stars)) / 4];
  }
}
