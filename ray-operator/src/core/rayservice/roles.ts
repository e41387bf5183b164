/** Which cluster serves and which is to replace it. Written down before anything follows from it. */
import type { RayService } from '../kubernetes-objects.js';
import { isServing, namesOf, type Observed, podSpecOf } from './observation.js';

export interface Roles {
  active: string | undefined;
  pending: string | undefined;
}

/** `undefined` while all stays as it is. */
export function nextRoles(service: RayService, observed: Observed, newName: () => string): Roles | undefined {
  const { active, pending } = namesOf(service);
  if (service.spec.suspend) {
    const isGone = observed.clusters.size === 0 && (active !== undefined || pending !== undefined);
    return isGone ? { active: undefined, pending: undefined } : undefined;
  }
  if (observed.problems.length > 0) return undefined;
  const wanted = (name: string | undefined) => {
    const served = name === undefined ? undefined : observed.clusters.get(name);
    // One that is not there yet is made as the spec is then.
    return served === undefined || podSpecOf(served) === observed.goal.podSpec;
  };
  if (pending !== undefined) {
    if (active !== undefined && observed.clusters.has(active) && wanted(active)) return { active, pending: undefined };
    if (!wanted(pending)) return { active, pending: newName() };
    return isServing(observed.clusters.get(pending), observed) ? { active: pending, pending: undefined } : undefined;
  }
  if (active === undefined) return { active, pending: newName() };
  const upgrades = service.spec.upgradeStrategy?.type !== 'None';
  return upgrades && !wanted(active) ? { active, pending: newName() } : undefined;
}
