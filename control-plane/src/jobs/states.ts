/** The lives of a job and of its attempts, as tables. */
import type { AttemptPhase, JobPhase } from '@iocloud/contracts';

/**
 * What can happen to a job. `attemptLost`: its attempt failed for a cause that the job's retry policy names, and another
 * may follow; `attemptsExhausted`: the same, but it was the last that it may have; `evicted`: its attempt was moved away,
 * which counts as none.
 */
export type JobEvent =
  | 'assign'
  | 'start'
  | 'stop'
  | 'succeed'
  | 'fail'
  | 'stopped'
  | 'attemptLost'
  | 'attemptsExhausted'
  | 'evicted';

/** An event that is absent cannot happen in that phase. */
export const jobTransitions: Record<JobPhase, Partial<Record<JobEvent, JobPhase>>> = {
  queued: { assign: 'assigned', stop: 'stopped', fail: 'failed' },
  assigned: {
    start: 'running',
    stop: 'stopping',
    succeed: 'succeeded',
    fail: 'failed',
    stopped: 'stopped',
    attemptLost: 'queued',
    attemptsExhausted: 'failed',
    evicted: 'queued',
  },
  running: {
    stop: 'stopping',
    succeed: 'succeeded',
    fail: 'failed',
    stopped: 'stopped',
    attemptLost: 'queued',
    attemptsExhausted: 'failed',
    evicted: 'queued',
  },
  // Asked to stop, it may still end by itself first; if its cluster is lost it has stopped for certain.
  stopping: {
    start: 'stopping',
    stop: 'stopping',
    succeed: 'succeeded',
    fail: 'failed',
    stopped: 'stopped',
    attemptLost: 'stopped',
    attemptsExhausted: 'stopped',
    evicted: 'stopped',
  },
  succeeded: {},
  failed: {},
  stopped: {},
};

export type AttemptEvent = 'accepted' | 'started' | 'ended';

export const attemptTransitions: Record<AttemptPhase, Partial<Record<AttemptEvent, AttemptPhase>>> = {
  assigned: { accepted: 'submitted', started: 'running', ended: 'ended' },
  submitted: { accepted: 'submitted', started: 'running', ended: 'ended' },
  running: { started: 'running', ended: 'ended' },
  ended: {},
};

export const terminalPhases: readonly JobPhase[] = ['succeeded', 'failed', 'stopped'];
export const isTerminal = (phase: JobPhase) => terminalPhases.includes(phase);

/** Null when the event cannot happen in that phase. */
export function nextJobPhase(phase: JobPhase, event: JobEvent): JobPhase | null {
  return jobTransitions[phase][event] ?? null;
}

export function nextAttemptPhase(phase: AttemptPhase, event: AttemptEvent): AttemptPhase | null {
  return attemptTransitions[phase][event] ?? null;
}

/**
 * Ends that Ray reports and that are the infrastructure's fault, not the job's: the supervisor is Ray's own process, and
 * the driver dies with it. What the user's program or its demands cause is never tried again.
 */
export function isInfrastructureError(errorType: string | null, message: string): boolean {
  if (errorType === 'JOB_SUPERVISOR_ACTOR_DIED' || errorType === 'JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE') return true;
  // The same error type stands for a supervisor that vanished (after a restart of the head) and for one that the
  // submission's own options kept from starting.
  return errorType === 'JOB_SUPERVISOR_ACTOR_START_FAILURE' && message.includes('failed to get job supervisor');
}
