/** The life of a RayJob as a table: what may happen in which state, and what it leads to. */
import type { RayJobStatus } from '../../api/rayjob.js';

export type State = NonNullable<RayJobStatus['jobDeploymentStatus']>;

export type EventName =
  | 'refuse'
  | 'mend'
  | 'begin'
  | 'await'
  | 'submit'
  | 'succeed'
  | 'stop'
  | 'fail'
  | 'retry'
  | 'suspend'
  | 'rest'
  | 'resume'
  | 'again';

export const transitions: Record<State, Partial<Record<EventName, State>>> = {
  '': { refuse: 'ValidationFailed', suspend: 'Suspended', begin: 'Initializing' },
  ValidationFailed: { mend: '' },
  Initializing: { await: 'Waiting', submit: 'Running', fail: 'Failed', retry: 'Retrying', suspend: 'Suspending' },
  Waiting: { submit: 'Running', fail: 'Failed', retry: 'Retrying', suspend: 'Suspending' },
  Running: { succeed: 'Complete', stop: 'Complete', fail: 'Failed', retry: 'Retrying', suspend: 'Suspending' },
  Suspending: { rest: 'Suspended' },
  Suspended: { resume: '' },
  Retrying: { again: '' },
  Complete: {},
  Failed: {},
};

export const isFinished = (state: State) => state === 'Complete' || state === 'Failed';
export const isActive = (state: State) => state === 'Initializing' || state === 'Waiting' || state === 'Running';

export function after(state: State, event: EventName): State {
  const next = transitions[state][event];
  if (next === undefined) throw new Error(`a RayJob that is ${state || 'New'} cannot ${event}`);
  return next;
}
