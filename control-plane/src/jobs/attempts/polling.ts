/** How often a head is asked for the status of a job. Pure. */

/** What all followed jobs of a cluster together may ask of its head: one question in so long. Milliseconds. */
const questionMs = 25;

const steps = [
  { youngerThanMs: 5_000, intervalMs: 60 },
  { youngerThanMs: 10_000, intervalMs: 150 },
  { youngerThanMs: 60_000, intervalMs: 500 },
];
/** Until then somebody may wait beside the job, and few are so young at the same time. */
const newUntilMs = 10_000;
const oldIntervalMs = 2_000;
/** From a minute on, a job's end may be told this part of its age late: nobody waits beside a job of hours. */
const latePart = 1 / 30;
const longestMs = 10_000;
/** Of very many clusters each is asked so much more rarely about jobs that are not new, up to the longest interval. */
const clusterMs = 10;

/** Short jobs are told of at once; one of a minute may wait two seconds to be found ended, one of five minutes ten. */
export function pollIntervalMs(ageMs: number, followedOnCluster: number, clusters: number): number {
  const step = steps.find(({ youngerThanMs }) => ageMs < youngerThanMs);
  const wantedMs = step?.intervalMs ?? Math.max(oldIntervalMs, ageMs * latePart);
  const leastMs = ageMs < newUntilMs ? 0 : clusterMs * clusters;
  return Math.max(Math.min(longestMs, Math.max(wantedMs, leastMs)), questionMs * followedOnCluster);
}
