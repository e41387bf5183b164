/** The life of a Mega-Ray cluster. */
import type { MegaPhase } from '@iocloud/contracts';

/** `complete`: as many cells as wanted take jobs; `short`: they do no longer; `released`: no cell is left. */
export type MegaEvent = 'complete' | 'short' | 'deleteAsked' | 'released';

/** An event that is absent cannot happen in that phase. */
export const megaTransitions: Record<MegaPhase, Partial<Record<MegaEvent, MegaPhase>>> = {
  pending: { complete: 'ready', deleteAsked: 'deleting' },
  ready: { short: 'degraded', deleteAsked: 'deleting' },
  degraded: { complete: 'ready', deleteAsked: 'deleting' },
  deleting: { released: 'deleted' },
  deleted: {},
};

export interface MegaFacts {
  desired: 'running' | 'deleted';
  cellsWanted: number;
  cellsReady: number;
  cellsLeft: number;
}

/** What has happened that the phase does not say yet, or null. */
export function megaEvent(phase: MegaPhase, facts: MegaFacts): MegaEvent | null {
  const { desired, cellsWanted, cellsReady, cellsLeft } = facts;
  const happened: [MegaEvent, boolean][] = [
    ['deleteAsked', desired === 'deleted'],
    ['released', desired === 'deleted' && cellsLeft === 0],
    ['complete', cellsReady >= cellsWanted],
    ['short', cellsReady < cellsWanted],
  ];
  return happened.find(([event, so]) => so && megaTransitions[phase][event])?.[0] ?? null;
}
