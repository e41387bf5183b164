/** What pods say of the leases that they run. Pure. */
import type { LeaseObservation } from '@iocloud/contracts';
import { endOf, isLeaving, isReady, type Pod, troubleOf } from '@iocloud/ray-operator';
import type { LeasePod } from '../store.js';

/** A pod that is not ready after so long never will be: of what cannot be pulled or scheduled Kubernetes itself never gives up. */
export const startLimitMs = 15 * 60_000;

export type Seen =
  /** As it is reported. */
  | { kind: 'is'; observation: Omit<LeaseObservation, 'leaseId' | 'rayNodeId'> }
  /** A pod has come for it: to be put on record before anything is said of it. */
  | { kind: 'found'; pod: { name: string; uid: string } }
  /** Its pod is not among those that were seen last: it is asked for by name, as that view may be behind. */
  | { kind: 'missing'; pod: { name: string; uid: string } }
  | { kind: 'ended'; why: string };

/** `pods`: those that carry the mark of the lease. `sinceMs`: when its object was made. */
export function seenOf(
  record: LeasePod | undefined,
  pods: readonly Pod[],
  at: { nowMs: number; sinceMs: number; trouble: string },
): Seen {
  if (record?.ended != null) return is('exited', record.ended);
  if (!record?.pod) {
    const pod = pods.find(one => !isLeaving(one));
    if (pod) return { kind: 'found', pod: { name: pod.metadata.name, uid: pod.metadata.uid } };
    if (at.nowMs - at.sinceMs > startLimitMs) return { kind: 'ended', why: late(at.trouble || 'no pod was made') };
    return is('starting', at.trouble || 'its pod is being made');
  }
  const { pod: known } = record;
  const pod = pods.find(({ metadata }) => metadata.uid === known.uid);
  if (!pod) return { kind: 'missing', pod: known };
  const end = endOf(pod);
  if (end !== undefined) return { kind: 'ended', why: `its pod has ended: ${end}` };
  if (isReady(pod)) return is('ready', '');
  const trouble = troubleOf(pod);
  const words = trouble ? `${trouble.reason}: ${trouble.message}` : 'its pod is starting';
  const begunMs = Date.parse(pod.metadata.creationTimestamp ?? '');
  const wasNeverReady = pod.status?.phase === 'Pending';
  if (wasNeverReady && at.nowMs - begunMs > startLimitMs) return { kind: 'ended', why: late(words) };
  return is('starting', words);
}

const late = (words: string) => `it did not start within ${startLimitMs / 60_000} minutes: ${words}`;

const longestMessage = 2_000;
const is = (phase: LeaseObservation['phase'], message: string): Seen => ({
  kind: 'is',
  observation: { phase, message: message.slice(0, longestMessage) },
});
