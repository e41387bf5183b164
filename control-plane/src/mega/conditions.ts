/** The conditions that people and programs read of a Mega-Ray cluster. Pure. */
import type { MegaCondition } from '@iocloud/contracts';

export interface Situation {
  generation: number;
  desired: 'running' | 'deleted';
  wanted: number;
  ready: number;
  /** Of those that are there: how many are as the spec says, and not leaving. */
  upToDate: number;
  /** Why a cell could not be made. */
  refused: string | null;
  /** Why the first of those that are not ready is not. */
  obstacle: string | null;
}

type Finding = Pick<MegaCondition, 'type' | 'status' | 'reason' | 'message'>;

export function conditionsOf(before: readonly MegaCondition[], situation: Situation, now: Date): MegaCondition[] {
  return findings(situation).map(finding => {
    const old = before.find(({ type }) => type === finding.type);
    const since = old?.status === finding.status ? old.lastTransitionTime : now.toISOString();
    return { ...finding, lastTransitionTime: since, observedGeneration: situation.generation };
  });
}

function findings({ desired, wanted, ready, upToDate, refused, obstacle }: Situation): Finding[] {
  if (desired === 'deleted') {
    const deleted = { status: 'False', reason: 'Deleted', message: 'the cluster is being deleted' } as const;
    return [
      { type: 'CellsCreated', ...deleted },
      { type: 'CellsReady', ...deleted },
      { type: 'UpToDate', ...deleted },
    ];
  }
  const why = obstacle === null ? '' : `: ${obstacle}`;
  return [
    refused === null
      ? { type: 'CellsCreated', status: 'True', reason: 'CellsCreated', message: 'every cell that is wanted is there' }
      : { type: 'CellsCreated', status: 'False', reason: 'CellRefused', message: refused },
    ready >= wanted
      ? { type: 'CellsReady', status: 'True', reason: 'CellsReady', message: `all ${wanted} cells take jobs` }
      : {
          type: 'CellsReady',
          status: 'False',
          reason: 'CellsMissing',
          message: `${ready} of ${wanted} cells take jobs${why}`,
        },
    upToDate >= wanted
      ? { type: 'UpToDate', status: 'True', reason: 'UpToDate', message: 'every cell is as the spec says' }
      : {
          type: 'UpToDate',
          status: 'False',
          reason: 'Updating',
          message: `${upToDate} of ${wanted} cells are as the spec says; the others are made or replaced`,
        },
  ];
}
