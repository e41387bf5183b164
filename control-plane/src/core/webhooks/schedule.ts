/** When a message is sent again: after pauses that grow, for a little more than three days. Pure. */
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const pauses = [
  5 * second,
  30 * second,
  2 * minute,
  10 * minute,
  hour,
  3 * hour,
  8 * hour,
  16 * hour,
  24 * hour,
  24 * hour,
];

/** A part of a pause is up to chance, so that what failed together does not come back together. */
const jitter = 0.2;
const longestAsked = 24 * hour;

export const attemptsInAll = pauses.length + 1;

/**
 * After so many attempts. `random` is from 0 to below 1; `askedMs` is what the receiver has asked for, which can make it
 * longer. Null: it is given up.
 */
export function pauseMs(attempts: number, random: number, askedMs: number | null): number | null {
  const pause = pauses[attempts - 1];
  if (pause === undefined) return null;
  const jittered = Math.round(pause * (1 - jitter + 2 * jitter * random));
  return Math.max(jittered, Math.min(askedMs ?? 0, longestAsked));
}
