/** What a pod's status says of it. */
import type { Pod } from './kubernetes-objects.js';
import { labels } from './names.js';

export const isLeaving = (pod: Pod) => pod.metadata.deletionTimestamp !== undefined;
export const isHead = (pod: Pod) => pod.metadata.labels?.[labels.nodeType] === 'head';
export const groupOf = (pod: Pod) => pod.metadata.labels?.[labels.group] ?? '';

export function isReady(pod: Pod): boolean {
  if (pod.status?.phase !== 'Running' || isLeaving(pod)) return false;
  return pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/**
 * How long until a pod that is being deleted is late: its grace period has passed, and so long after that it is still there.
 * A kubelet that lives has ended it by then; of one that is dead, or cut off, nobody will ever hear.
 */
export function lateInMs(pod: Pod, now: number, allowanceMs: number): number {
  // Kubernetes sets it to the end of the grace period.
  return Date.parse(pod.metadata.deletionTimestamp ?? '') + allowanceMs - now;
}

/** Why a pod will never run again and has to be replaced; `undefined` while the kubelet may still bring it up. */
export function endOf(pod: Pod): string | undefined {
  const { phase, reason } = pod.status ?? {};
  if (phase === 'Failed' || phase === 'Succeeded') return reason ? `${phase}: ${reason}` : phase;
  if (pod.spec?.restartPolicy !== 'Never') return undefined;
  // Beside a sidecar that lives on, the pod stays Running after its Ray container has ended for good.
  const name = pod.spec.containers?.[0]?.name;
  // The kubelet gives the statuses in an order of its own.
  const ray = pod.status?.containerStatuses?.find(status => status.name === name);
  const ended = ray?.state?.terminated;
  return ended
    ? `its Ray container ended (${ended.reason ?? 'exit'} ${ended.exitCode ?? ''})`.replace(' )', ')')
    : undefined;
}

/** What keeps a pod from running, in the kubelet's or the scheduler's words. */
export function troubleOf(pod: Pod): { reason: string; message: string } | undefined {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const { name, state } of statuses) {
    const waiting = state?.waiting;
    if (waiting?.reason && waiting.reason !== 'ContainerCreating' && waiting.reason !== 'PodInitializing') {
      return { reason: waiting.reason, message: waiting.message ?? `container ${name}: ${waiting.reason}` };
    }
  }
  const unscheduled = pod.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
  if (unscheduled) return { reason: unscheduled.reason ?? 'Unschedulable', message: unscheduled.message ?? '' };
  const unready = pod.status?.conditions?.find(({ type, status }) => type === 'Ready' && status !== 'True');
  if (unready?.reason) return { reason: unready.reason, message: unready.message ?? '' };
  return undefined;
}
