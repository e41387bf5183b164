/** Which cells of a Mega-Ray cluster are made, which are asked to leave, and which go. */
import type { CellHealth, ClusterId } from '@iocloud/contracts';

/** One that is not deleted yet. */
export interface Cell {
  id: ClusterId;
  /** Its number: no two have the same. */
  ordinal: number;
  /** Of the spec that it was made by. */
  revision: number;
  health: CellHealth;
  /** Jobs that run there. */
  jobs: number;
  /** On a machine, and yet its head has not come up since then; null: it has, or waits for a machine. */
  failingSinceMs: number | null;
  /** It has been asked to leave, and takes no jobs: by then it goes even with some; null: it stays. */
  leavesByMs: number | null;
  /** It has been told to end. */
  isGoing: boolean;
}

export interface MegaWish {
  desired: 'running' | 'deleted';
  cells: number;
  revision: number;
  maxUnavailable: number;
  /** A cell whose head does not come up for so long on its machines is replaced. */
  giveUpAfterMs: number;
}

export type Departure = 'scaled down' | 'replaced by an update' | 'failed';

export interface MegaPlan {
  /** Numbers of new cells. */
  create: number[];
  /** To take no more jobs, and to have theirs moved. */
  leave: { id: ClusterId; why: Departure }[];
  /** To end now. */
  remove: ClusterId[];
  /** When time alone makes a difference next. */
  lookAtMs: number | null;
}

export function planCells(wish: MegaWish, cells: readonly Cell[], nowMs: number): MegaPlan {
  if (wish.desired === 'deleted') return { ...nothing, remove: idsOf(cells.filter(({ isGoing }) => !isGoing)) };
  const staying = cells.filter(cell => !cell.isGoing && cell.leavesByMs === null && cell.health !== 'ended');
  const surplus = [...staying].sort(firstToGo(wish)).slice(0, Math.max(0, staying.length - wish.cells));
  const kept = staying.filter(cell => !surplus.includes(cell));
  const failed = kept.filter(cell => givesUp(wish, cell, nowMs));
  const outdated = toUpdate(wish, kept).filter(cell => !failed.includes(cell));
  const leave = [
    ...surplus.map(({ id }) => ({ id, why: 'scaled down' as const })),
    ...failed.map(({ id }) => ({ id, why: 'failed' as const })),
    ...outdated.map(({ id }) => ({ id, why: 'replaced by an update' as const })),
  ];
  return {
    create: freeOrdinals(cells, Math.max(0, wish.cells - cells.length)),
    leave,
    remove: idsOf(cells.filter(cell => !cell.isGoing && isOver(cell, nowMs))),
    lookAtMs: nextTime(wish, cells, nowMs),
  };
}

const nothing: MegaPlan = { create: [], leave: [], remove: [], lookAtMs: null };
const idsOf = (cells: readonly Cell[]) => cells.map(({ id }) => id);

/** Ended by others, or left by its jobs, or out of its time. */
const isOver = ({ health, jobs, leavesByMs }: Cell, nowMs: number) =>
  health === 'ended' || (leavesByMs !== null && (jobs === 0 || leavesByMs <= nowMs));

const givesUp = ({ giveUpAfterMs }: MegaWish, { health, failingSinceMs }: Cell, nowMs: number) =>
  health === 'starting' && failingSinceMs !== null && failingSinceMs + giveUpAfterMs <= nowMs;

/** What is missed least goes first: what takes no jobs, what is out of date, what is idle; of equals, the last. */
const firstToGo =
  ({ revision }: MegaWish) =>
  (one: Cell, other: Cell): number =>
    Number(one.health === 'ready') - Number(other.health === 'ready') ||
    Number(one.revision === revision) - Number(other.revision === revision) ||
    one.jobs - other.jobs ||
    other.ordinal - one.ordinal;

/** Those out of date that may go now: what takes no jobs at once, the others as far as the budget goes. */
function toUpdate({ cells, revision, maxUnavailable }: MegaWish, kept: readonly Cell[]): Cell[] {
  const outdated = kept.filter(cell => cell.revision !== revision);
  const ready = kept.filter(({ health }) => health === 'ready');
  const mayGo = Math.max(0, ready.length - Math.max(0, cells - maxUnavailable));
  const taken = outdated
    .filter(({ health }) => health === 'ready')
    .sort((a, b) => a.jobs - b.jobs || a.ordinal - b.ordinal);
  return [...outdated.filter(({ health }) => health !== 'ready'), ...taken.slice(0, mayGo)];
}

/** A place is free once its cell is deleted, with all that it held. */
function freeOrdinals(cells: readonly Cell[], count: number): number[] {
  const taken = new Set(cells.map(({ ordinal }) => ordinal));
  const free: number[] = [];
  for (let ordinal = 0; free.length < count; ordinal += 1) if (!taken.has(ordinal)) free.push(ordinal);
  return free;
}

function nextTime({ giveUpAfterMs }: MegaWish, cells: readonly Cell[], nowMs: number): number | null {
  const times = cells.flatMap(({ leavesByMs, failingSinceMs }) => [
    ...(leavesByMs === null ? [] : [leavesByMs]),
    ...(failingSinceMs === null ? [] : [failingSinceMs + giveUpAfterMs]),
  ]);
  const later = times.filter(time => time > nowMs);
  return later.length === 0 ? null : Math.min(...later);
}
