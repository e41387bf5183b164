/** The life of a roll-out, as data; an event that is absent cannot happen. */
import type { RolloutPhase } from '@iocloud/contracts';

export type RolloutEvent = 'pause' | 'resume' | 'tooManyFailed' | 'supersede';

export const rolloutTransitions: Record<RolloutPhase, Partial<Record<RolloutEvent, RolloutPhase>>> = {
  running: { pause: 'paused', tooManyFailed: 'halted', supersede: 'superseded' },
  paused: { resume: 'running', supersede: 'superseded' },
  halted: { resume: 'running', supersede: 'superseded' },
  superseded: {},
};
