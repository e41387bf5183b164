/** Which cells to delete: what is beyond repair, what is too many, and of what is out of date as much as the budget lets go. */

import type { MegaRayCluster } from '../kubernetes-objects.js';
import { type Cell, samePlace } from './cells.js';
import { type DerivedMega, isCurrent, isLost, type ObservedCells } from './derived.js';
import { healthOf } from './shares.js';

export interface CellDeletion {
  cell: Cell;
  reason: string;
}

export const reasons = {
  broken: 'it was broken for too long',
  idle: 'it is out of date and does no work',
  surplus: 'there are more cells than wanted',
  rollout: 'its template has changed',
  retired: 'its group or its place is not in the spec any more',
} as const;

export function removals(mega: MegaRayCluster, derived: DerivedMega, observed: ObservedCells): CellDeletion[] {
  const { nowMs, reachable } = observed;
  const suspended = mega.spec.suspend === true;
  const cells = observed.cells.filter(cell => !isLost(cell, mega, nowMs));
  const current = new Set(cells.filter(cell => isCurrent(cell, derived)));
  const available = new Availability(derived, cells, current);
  const deletions: CellDeletion[] = [];
  const left = new Set(cells.filter(({ state, object }) => object && state !== 'Deleting' && state !== 'Unknown'));
  const remove = (cell: Cell, reason: string) => {
    deletions.push({ cell, reason });
    available.lose(cell);
    left.delete(cell);
  };
  const { replaceBrokenAfterMs } = healthOf(mega.spec);
  for (const cell of left) {
    const { trouble } = cell;
    const isBeyondRepair = trouble?.kind === 'broken' && nowMs - trouble.sinceMs >= replaceBrokenAfterMs;
    if (isBeyondRepair && !suspended) remove(cell, reasons.broken);
    else if (!current.has(cell) && (suspended || !cell.serving)) remove(cell, reasons.idle);
  }
  for (const [name, { desired }] of derived.groups) {
    const staying = [...left].filter(cell => cell.group === name && current.has(cell));
    const unseen = cells.filter(cell => cell.group === name && current.has(cell) && cell.state === 'Unknown').length;
    for (const cell of victims(staying, staying.length + unseen - desired)) {
      if (suspended || available.canLose(cell)) remove(cell, reasons.surplus);
    }
  }
  const outdated = [...left].filter(cell => !current.has(cell));
  for (const cell of victims(outdated, outdated.length)) {
    const group = derived.groups.get(cell.group);
    const hasPlace = group?.places.some(place => reachable.has(place.kubernetesCluster)) ?? true;
    if (!available.canLose(cell) || !(hasPlace || available.isSpare(cell))) continue;
    remove(cell, group?.places.some(place => samePlace(place, cell.place)) ? reasons.rollout : reasons.retired);
  }
  return deletions;
}

/** First what does least, then what stands in the fullest place, so that the spread stays even, then the youngest. */
function victims(cells: Cell[], count: number): Cell[] {
  const left = [...cells];
  const chosen: Cell[] = [];
  const filling = new Map<string, number>();
  const at = ({ place }: Cell) => `${place.kubernetesCluster}/${place.domain ?? ''}`;
  for (const cell of cells) filling.set(at(cell), (filling.get(at(cell)) ?? 0) + 1);
  const fullness = (cell: Cell) => filling.get(at(cell)) ?? 0;
  // By use and age once; among equals of use the fullest place is looked for anew after each.
  left.sort((a, b) => use(a) - use(b) || b.createdAt.localeCompare(a.createdAt) || a.name.localeCompare(b.name));
  while (chosen.length < count && left[0]) {
    const least = use(left[0]);
    let best = 0;
    for (let index = 1; index < left.length; index += 1) {
      const cell = left[index] as Cell;
      if (use(cell) !== least) break;
      if (fullness(cell) > fullness(left[best] as Cell)) best = index;
    }
    const [cell] = left.splice(best, 1) as [Cell];
    filling.set(at(cell), fullness(cell) - 1);
    chosen.push(cell);
  }
  return chosen;
}

const use = ({ serving, state }: Cell) => (state === 'Ready' ? 2 : serving ? 1 : 0);

/**
 * Cells in service that count: of each group at most as many as are wanted of it, and those of groups that are no longer
 * in the spec as far as they stand in for what is missing. A rollout may not bring the sum below the wanted ones less
 * `maxUnavailable`.
 */
export class Availability {
  private readonly perGroup = new Map<string, number>();
  private orphans = 0;

  constructor(
    private readonly derived: DerivedMega,
    cells: Cell[],
    private readonly current: Set<Cell>,
  ) {
    for (const cell of cells) this.change(cell, 1);
  }

  get sum(): number {
    let [sum, missing] = [0, 0];
    for (const [name, { desired }] of this.derived.groups) {
      const has = Math.min(this.perGroup.get(name) ?? 0, desired);
      sum += has;
      missing += desired - has;
    }
    return sum + Math.min(this.orphans, missing);
  }

  get least(): number {
    return this.derived.desired - this.derived.budget.maxUnavailable;
  }

  /** Whether the sum is the same without it. */
  isSpare(cell: Cell): boolean {
    const before = this.sum;
    this.change(cell, -1);
    const after = this.sum;
    this.change(cell, 1);
    return after === before;
  }

  canLose(cell: Cell): boolean {
    return this.isSpare(cell) || this.sum - 1 >= this.least;
  }

  lose(cell: Cell): void {
    this.change(cell, -1);
  }

  /** A new cell is in service when all of it is ready; an old one as long as work can be done in it. */
  private change(cell: Cell, by: number): void {
    if (!(this.current.has(cell) ? cell.state === 'Ready' : cell.serving && cell.state !== 'Deleting')) return;
    if (this.derived.groups.has(cell.group)) {
      this.perGroup.set(cell.group, (this.perGroup.get(cell.group) ?? 0) + by);
    } else this.orphans += by;
  }
}
