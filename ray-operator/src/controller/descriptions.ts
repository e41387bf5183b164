/** A plan and how it went, as events: one for each group of like changes, however many pods it was. */
import type { Manifest, Pod } from '../core/kubernetes-objects.js';
import type { Plan } from '../core/plan.js';
import { groupOf, isHead } from '../core/pod-health.js';
import type { EventType } from './events.js';

export interface EventText {
  type: EventType;
  reason: string;
  message: string;
}

export function describe(plan: Plan, failure: { reason: string; message: string } | undefined): EventText[] {
  if (plan.problems.length > 0) {
    return [{ type: 'Warning', reason: 'InvalidRayClusterSpec', message: plan.problems.join('; ') }];
  }
  const events = plan.deletions.length > 0 ? deletions(plan) : [];
  if (failure) events.push({ type: 'Warning', ...failure });
  else events.push(...creations(plan.creations));
  return events.map(({ type, reason, message }) => ({ type, reason, message }));
}

function creations(manifests: Manifest[]): EventText[] {
  const pods = manifests as unknown as Pod[];
  const workers = counted(
    pods.filter(pod => !isHead(pod)),
    groupOf,
  );
  return [
    ...pods.filter(isHead).map(pod => normal('CreatedHeadPod', `made the head pod ${pod.metadata.name}`)),
    ...[...workers].map(([group, count]) => normal('CreatedWorkerPod', `made ${amount(count)} of the group ${group}`)),
  ];
}

function deletions({ deletions }: Plan): EventText[] {
  const kinds = counted(deletions, ({ pod, reason }) => `${isHead(pod) ? 'Head' : 'Worker'}|${groupOf(pod)}|${reason}`);
  return [...kinds].map(([kind, count]) => {
    const [type, group, reason] = kind.split('|');
    return normal(`Deleted${type}Pod`, `deleted ${amount(count)} of the group ${group}: ${reason}`);
  });
}

const normal = (reason: string, message: string): EventText => ({ type: 'Normal', reason, message });
const amount = (count: number) => (count === 1 ? '1 pod' : `${count} pods`);

function counted<T>(items: T[], key: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}
