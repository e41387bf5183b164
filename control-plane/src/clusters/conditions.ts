/** The conditions that people and programs read: for each, whether it holds, and why in words. Pure. */
import type { Condition } from '@iocloud/contracts';
import { courseOfEnd } from './ending.js';
import { type ClusterFacts, type LeaseFacts, type NewLease, type Offers, type Plan, placeKey } from './facts.js';

interface Situation {
  /** Leases that shall run and have not ended. */
  live: LeaseFacts[];
  start: NewLease[];
  refused: Plan['refused'];
  offers: Offers | null;
}
type Finding = Pick<Condition, 'status' | 'reason' | 'message'>;

export function conditionsOf(cluster: ClusterFacts, situation: Situation, now: Date): Condition[] {
  const before = (type: Condition['type']) => cluster.conditions.find(condition => condition.type === type);
  const findings: [Condition['type'], Finding][] = [
    ['Placed', placed(cluster, situation)],
    ['HeadReady', headReady(cluster, situation)],
    ['WorkersReady', workersReady(cluster, situation)],
    ['NetworkIsolated', isolated(situation, before('NetworkIsolated'))],
  ];
  const ending = endingOf(cluster, before('Ending'), now);
  if (ending) findings.push(['Ending', ending]);
  return findings.map(([type, finding]) => {
    const old = before(type);
    return {
      type,
      ...finding,
      lastTransitionTime: old?.status === finding.status ? old.lastTransitionTime : now.toISOString(),
      observedGeneration: cluster.generation,
    };
  });
}

const isGoing = (cluster: ClusterFacts) => cluster.desired !== 'running';
const going = (cluster: ClusterFacts): Finding => ({
  status: 'False',
  reason: cluster.desired === 'stopped' ? 'Stopped' : 'Deleted',
  message: `the cluster is ${cluster.phase}`,
});

function placed(cluster: ClusterFacts, { live, start, refused }: Situation): Finding {
  if (isGoing(cluster)) return going(cluster);
  if (refused)
    return { status: 'False', reason: refused.isForMoney ? 'NotPaid' : 'NoCapacity', message: refused.message };
  if (live.length + start.length > 0)
    return { status: 'True', reason: 'Placed', message: 'every Ray node has its place' };
  return { status: 'False', reason: 'Waiting', message: waiting(cluster) };
}

function waiting(cluster: ClusterFacts): string {
  if (cluster.leases.length > 0) return 'waits until the machine has confirmed that the earlier Ray nodes have ended';
  const retry = cluster.retries[`${cluster.places[0]?.group}/0`];
  return retry ? `the head failed ${retry.failures} times; the next start is at ${retry.retryAt}` : 'not placed yet';
}

function headReady(cluster: ClusterFacts, { live, start }: Situation): Finding {
  if (isGoing(cluster)) return going(cluster);
  const head = live.find(lease => lease.role === 'head');
  if (head?.phase === 'ready') return { status: 'True', reason: 'HeadReady', message: 'the head takes jobs' };
  if (head) return { status: 'False', reason: 'HeadStarting', message: head.message || 'the head is starting' };
  const begins = start.some(lease => lease.place.role === 'head');
  if (begins) return { status: 'False', reason: 'HeadStarting', message: 'the machine is told to start the head' };
  const dead = cluster.leases.find(lease => lease.role === 'head');
  return { status: 'False', reason: 'NoHead', message: dead?.message || 'no head runs' };
}

function workersReady(cluster: ClusterFacts, { live }: Situation): Finding {
  if (isGoing(cluster)) return going(cluster);
  const ready = new Set(live.filter(lease => lease.phase === 'ready').map(placeKey));
  const workers = cluster.places.filter(place => place.role === 'worker');
  const missing = workers.filter(place => !ready.has(placeKey(place))).map(placeKey);
  if (missing.length === 0) {
    return { status: 'True', reason: 'WorkersReady', message: `all ${workers.length} workers of the spec are ready` };
  }
  const shown = missing.slice(0, 10).join(', ') + (missing.length > 10 ? ', …' : '');
  return {
    status: 'False',
    reason: 'WorkersMissing',
    message: `${missing.length} of ${workers.length} workers are not ready: ${shown}`,
  };
}

/** It stays while the cluster is stopped, to say why it was. */
function endingOf({ end, desired }: ClusterFacts, before: Condition | undefined, now: Date): Finding | null {
  const course = courseOfEnd(end, now);
  if (end && course && course.stage !== 'on') {
    const message = `${end.message}; jobs have until ${course.overAt.toISOString()} to end`;
    return before ?? { status: 'True', reason: end.reason, message };
  }
  return desired === 'running' ? null : (before ?? null);
}

/** What the machine said when the cluster was placed there stays so: an agent that restarts in another mode re-inventories. */
function isolated({ live, start, offers }: Situation, before: Condition | undefined): Finding {
  const nodeId = start[0]?.nodeId ?? live[0]?.nodeId;
  const machine = offers?.find(offer => offer.nodeId === nodeId);
  if (machine?.isolation === 'container') {
    return { status: 'True', reason: 'Container', message: 'it runs in containers, in a network of its own' };
  }
  if (machine?.isolation === 'namespace') {
    return { status: 'True', reason: 'Namespace', message: 'its ports are in a network namespace of their own' };
  }
  if (machine)
    return { status: 'False', reason: 'TokenOnly', message: machine.isolationReason || 'only a token guards it' };
  if (nodeId && before) return { status: before.status, reason: before.reason, message: before.message };
  return { status: 'Unknown', reason: 'NotPlaced', message: 'not placed yet' };
}
