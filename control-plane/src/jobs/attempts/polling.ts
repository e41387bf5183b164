/** How often a head is asked for the status of a job. Pure. */

/** What all followed jobs of a cluster together may ask of its head: one question in so long. Milliseconds. */
const questionMs = 25;

const steps = [
  { youngerThanMs: 5_000, intervalMs: 60 },
  { youngerThanMs: 10_000, intervalMs: 150 },
  { youngerThanMs: 60_000, intervalMs: 500 },
  { youngerThanMs: Number.POSITIVE_INFINITY, intervalMs: 2_000 },
];

/** Short jobs are told of at once; an old one may wait two seconds to be found ended. */
export function pollIntervalMs(ageMs: number, followedOnCluster: number): number {
  const step = steps.find(({ youngerThanMs }) => ageMs < youngerThanMs);
  return Math.max(step?.intervalMs ?? 2_000, questionMs * followedOnCluster);
}
