/** The life of a cluster as a table: what can happen in which phase, where it leads, and what else it causes. */
import type { ClusterPhase } from '@iocloud/contracts';

export type ClusterEvent =
  | 'placed'
  | 'headReady'
  | 'headGone'
  | 'stopAsked'
  | 'startAsked'
  | 'deleteAsked'
  | 'released';

/**
 * - `tellWorkers`: workers are shown to the machine's agent only now that there is a head to join.
 * - `wakeDispatch`: jobs may wait for what has just come or gone.
 * - `forgetFailures`: the next start is a fresh one, without back-off.
 */
export type Effect = 'tellWorkers' | 'wakeDispatch' | 'forgetFailures';

export interface Transition {
  to: ClusterPhase;
  effects: readonly Effect[];
  /** The event that the tenant reads. */
  reason: string;
}

const stop: Transition = { to: 'stopping', effects: ['wakeDispatch'], reason: 'ClusterStopping' };
const remove: Transition = { to: 'deleting', effects: ['wakeDispatch'], reason: 'ClusterDeleting' };
const start: Transition = { to: 'pending', effects: ['forgetFailures', 'wakeDispatch'], reason: 'ClusterStarting' };
const lost: Transition = { to: 'pending', effects: ['wakeDispatch'], reason: 'HeadLost' };

export const transitions: Record<ClusterPhase, Partial<Record<ClusterEvent, Transition>>> = {
  pending: {
    placed: { to: 'provisioning', effects: [], reason: 'ClusterPlaced' },
    stopAsked: stop,
    deleteAsked: remove,
  },
  provisioning: {
    headReady: { to: 'ready', effects: ['tellWorkers', 'wakeDispatch'], reason: 'HeadReady' },
    headGone: lost,
    stopAsked: stop,
    deleteAsked: remove,
  },
  ready: { headGone: lost, stopAsked: stop, deleteAsked: remove },
  stopping: {
    released: { to: 'stopped', effects: ['wakeDispatch'], reason: 'ClusterStopped' },
    startAsked: start,
    deleteAsked: remove,
  },
  stopped: { startAsked: start, deleteAsked: remove },
  deleting: { released: { to: 'deleted', effects: ['wakeDispatch'], reason: 'ClusterDeleted' } },
  deleted: {},
};

/** What is so of a cluster, as far as its phase depends on it. */
export interface PhaseFacts {
  desired: 'running' | 'stopped' | 'deleted';
  /** The head has a lease that shall run and has not ended. */
  headLives: boolean;
  headReady: boolean;
  /** No lease of the cluster holds anything any more. */
  allReleased: boolean;
}

/** What has happened that the phase does not say yet, or null. */
export function nextEvent(phase: ClusterPhase, facts: PhaseFacts): ClusterEvent | null {
  const possible = transitions[phase];
  const happened: [ClusterEvent, boolean][] = [
    ['deleteAsked', facts.desired === 'deleted'],
    ['stopAsked', facts.desired === 'stopped'],
    ['startAsked', facts.desired === 'running'],
    ['headGone', !facts.headLives],
    ['headReady', facts.headReady],
    ['released', facts.allReleased],
    ['placed', facts.headLives],
  ];
  return happened.find(([event, so]) => so && possible[event])?.[0] ?? null;
}

/** Follows the table as far as the facts lead. Throws when the table has a circle, which a test rules out. */
export function advance(phase: ClusterPhase, facts: PhaseFacts): { phase: ClusterPhase; taken: Transition[] } {
  const taken: Transition[] = [];
  let current = phase;
  for (let event = nextEvent(current, facts); event; event = nextEvent(current, facts)) {
    const transition = transitions[current][event];
    if (!transition || taken.length > Object.keys(transitions).length) {
      throw new Error(`the life of a cluster goes round in a circle at ${current}, ${event}`);
    }
    taken.push(transition);
    current = transition.to;
  }
  return { phase: current, taken };
}
