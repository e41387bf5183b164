/** How many cells each group gets, and what a budget in cells or percent comes to. */
import type { CellGroup, MegaRayClusterSpec } from '../../api/megaraycluster.js';

/**
 * Cells one by one to the group that has the fewest beside its weight (Webster's method): with one cell more no group has
 * one less, so scaling up never takes a cell from anybody.
 */
export function cellShares(spec: MegaRayClusterSpec): Map<string, number> {
  const isNone = spec.replicas === 0;
  const shares = spec.cellGroups.map(group => ({ group, cells: isNone ? 0 : group.minReplicas }));
  let rest = spec.replicas - shares.reduce((sum, { cells }) => sum + cells, 0);
  const open = shares.filter(({ group, cells }) => cells < group.maxReplicas);
  while (rest > 0 && open.length > 0) {
    const next = open.reduce((best, each) => (claim(each) > claim(best) ? each : best));
    next.cells += 1;
    rest -= 1;
    if (next.cells >= next.group.maxReplicas) open.splice(open.indexOf(next), 1);
  }
  return new Map(shares.map(({ group, cells }) => [group.name, cells]));
}

const claim = ({ group, cells }: { group: CellGroup; cells: number }) => group.weight / (cells + 0.5);

/** `3` or `25%`; `undefined` for what is neither. */
export function cellsOf(amount: string | number, total: number, round: (cells: number) => number): number | undefined {
  if (typeof amount === 'number') return amount >= 0 ? amount : undefined;
  const match = /^(\d{1,3})(%?)$/.exec(amount);
  if (!match) return undefined;
  const value = Number(match[1]);
  if (match[2] === '') return value;
  return value > 100 ? undefined : round((value * total) / 100);
}

export interface Budget {
  maxUnavailable: number;
  maxSurge: number;
}

/** As Deployments have it: what is out of service is rounded down, what comes on top up, and never are both nothing. */
export function budgetOf({ rollout }: MegaRayClusterSpec, total: number): Budget {
  const maxUnavailable = cellsOf(rollout?.maxUnavailable ?? 1, total, Math.floor) ?? 0;
  const maxSurge = cellsOf(rollout?.maxSurge ?? 0, total, Math.ceil) ?? 0;
  return { maxUnavailable: maxUnavailable + maxSurge === 0 ? 1 : maxUnavailable, maxSurge };
}

export function healthOf({ health }: MegaRayClusterSpec) {
  return {
    minReadyWorkersPercent: health?.minReadyWorkersPercent ?? 50,
    replaceBrokenAfterMs: (health?.replaceBrokenAfterSeconds ?? 900) * 1000 || Number.POSITIVE_INFINITY,
    replaceUnreachableAfterMs: (health?.replaceUnreachableAfterSeconds ?? 1_800) * 1000 || Number.POSITIVE_INFINITY,
  };
}
