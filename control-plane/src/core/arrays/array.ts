/** One array job and its indices. An index is a job: here is only what many of them are together. */
import type { ArrayCounts, JobPhase } from '@iocloud/contracts';

/** An array is given no place itself, so it is never `assigned`. */
export type ArrayPhase = Exclude<JobPhase, 'assigned'>;

/**
 * `begin`: the first index runs or has ended by itself; `stop`: its owner asks for it; the others: all indices have ended,
 * and this is what it comes to.
 */
export type ArrayEvent = 'begin' | 'stop' | 'succeed' | 'fail' | 'stopped';

/** An event that is absent cannot happen in that phase. */
export const arrayTransitions: Record<ArrayPhase, Partial<Record<ArrayEvent, ArrayPhase>>> = {
  queued: { begin: 'running', stop: 'stopping', succeed: 'succeeded', fail: 'failed', stopped: 'stopped' },
  running: { stop: 'stopping', succeed: 'succeeded', fail: 'failed', stopped: 'stopped' },
  stopping: { succeed: 'succeeded', stopped: 'stopped' },
  succeeded: {},
  failed: {},
  stopped: {},
};

/** How many indices are in each phase; `held` are queued ones whose turn has not come and that are not in `queued`. */
export type Tally = Record<JobPhase | 'held', number>;

export const emptyTally: Tally = {
  held: 0,
  queued: 0,
  assigned: 0,
  running: 0,
  stopping: 0,
  succeeded: 0,
  failed: 0,
  stopped: 0,
};

export const endedOf = ({ succeeded, failed, stopped }: Tally): number => succeeded + failed + stopped;
export const countsOf = (tally: Tally): ArrayCounts => ({
  waiting: tally.held + tally.queued,
  running: tally.assigned + tally.running + tally.stopping,
  succeeded: tally.succeeded,
  failed: tally.failed,
  stopped: tally.stopped,
});

/** What has happened that the array's phase does not say yet, or null. */
export function eventOf(phase: ArrayPhase, tally: Tally, size: number): ArrayEvent | null {
  const possible = arrayTransitions[phase];
  const event = endedOf(tally) === size ? endOf(phase, tally, size) : hasBegun(tally) ? 'begin' : null;
  return event !== null && possible[event] ? event : null;
}

/** A stop that came too late for every index has stopped nothing. */
function endOf(phase: ArrayPhase, { succeeded, failed }: Tally, size: number): ArrayEvent {
  if (succeeded === size) return 'succeed';
  return failed > 0 && phase !== 'stopping' ? 'fail' : 'stopped';
}

/** One that was stopped may never have run. */
const hasBegun = ({ running, succeeded, failed }: Tally) => running + succeeded + failed > 0;

/** So many of those that are held may go now. */
export function mayGo(phase: ArrayPhase, tally: Tally, maxParallel: number | null): number {
  if (phase !== 'queued' && phase !== 'running') return 0;
  const going = tally.queued + tally.assigned + tally.running + tally.stopping;
  return maxParallel === null ? tally.held : Math.max(0, Math.min(tally.held, maxParallel - going));
}

export function arrayInWords(tally: Tally, size: number): string {
  const { waiting, ...others } = countsOf(tally);
  const parts = Object.entries({ ...others, waiting }).filter(([, count]) => count > 0);
  return `Array of ${size}: ${parts.map(([state, count]) => `${count} ${state}`).join(', ')}.`;
}
