/** How what a cluster used is shared out among the jobs that ran on it. Pure. */
import type { Amounts } from './windows.js';
import { combine, nothing } from './windows.js';

export interface Run {
  job: string;
  startedMs: number;
  endedMs: number | null;
}
const kinds = Object.keys(nothing) as (keyof Amounts)[];

/**
 * By the time for which each ran in the window; of two that ran at once each has its own time. The shares are whole and
 * come to what is shared: what rounding leaves over goes to those that began first. The empty name: no job ran.
 */
export function sharesOf(
  amounts: Amounts,
  fromMs: number,
  untilMs: number,
  runs: readonly Run[],
): Map<string, Amounts> {
  const weights = new Map<string, number>();
  for (const { job, startedMs, endedMs } of runs) {
    const ms = Math.min(endedMs ?? untilMs, untilMs) - Math.max(startedMs, fromMs);
    if (ms > 0) weights.set(job, (weights.get(job) ?? 0) + ms);
  }
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return new Map([['', amounts]]);
  const shares = new Map<string, Amounts>();
  let [before, given] = [0, nothing];
  for (const [job, weight] of weights) {
    before += weight;
    const reached = Object.fromEntries(
      kinds.map(kind => [kind, before === total ? amounts[kind] : Math.ceil((amounts[kind] * before) / total)]),
    ) as unknown as Amounts;
    shares.set(job, combine(reached, given, -1));
    given = reached;
  }
  return shares;
}
