/** A plan of cells and how it went, as events: one for each kind of change, however many cells it was. */
import { megaLabels } from '../../core/mega/names.js';
import type { MegaPlan } from '../../core/mega/plan.js';
import type { EventText } from '../descriptions.js';
import type { CellFailure } from './cell-effects.js';

export function describeCells(plan: MegaPlan, failure: CellFailure | undefined): EventText[] {
  const { problems, deletions, creations, updates } = plan;
  if (problems.length > 0) return [warning('InvalidMegaRayClusterSpec', problems.join('; '))];
  const events = [...counted(deletions.map(({ reason }) => reason))].map(([reason, count]) =>
    normal('DeletedCell', `deleted ${amount(count)}: ${reason}`),
  );
  if (failure) return [...events, warning(failure.reason, failure.message)];
  const groups = counted(
    creations.map(({ kubernetesCluster, manifest }) => `${groupOf(manifest)} in ${kubernetesCluster}`),
  );
  events.push(...[...groups].map(([where, count]) => normal('CreatedCell', `made ${amount(count)} of ${where}`)));
  if (updates.length > 0) events.push(normal('UpdatedCell', `changed ${amount(updates.length)} in place`));
  return events;
}

const groupOf = ({ metadata }: MegaPlan['creations'][number]['manifest']) => metadata.labels?.[megaLabels.group] ?? '';
const normal = (reason: string, message: string): EventText => ({ type: 'Normal', reason, message });
const warning = (reason: string, message: string): EventText => ({ type: 'Warning', reason, message });
const amount = (count: number) => (count === 1 ? '1 cell' : `${count} cells`);

function counted(items: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}
