/**
 * From what a cluster shall be and what is there to what is to be done next. Pure: the loop reads the facts, calls this,
 * and writes the whole plan in the same transaction.
 */
import type { NodeId } from '@iocloud/contracts';
import { conditionsOf } from './conditions.js';
import { courseOfEnd } from './ending.js';
import {
  type ClusterFacts,
  type Drain,
  type Ground,
  type LeaseFacts,
  type Line,
  type NewLease,
  type Place,
  type Plan,
  placeKey,
  type Retries,
} from './facts.js';
import { idleness } from './idle.js';
import { advance, type Transition } from './life.js';
import { isMeshed, place, seatsAfter } from './placing.js';

/** A Ray node that was ready for so long before it ended is no failed start: the next one need not wait. */
const provenMs = 20_000;
const longestBackoffMs = 60_000;
/** How long a dead head's leases are kept while jobs still read the ends of their logs from its machine. */
export const drainMs = 10_000;

const isDead = (lease: LeaseFacts) => lease.phase === 'exited' || lease.phase === 'lost';
const lives = (lease: LeaseFacts) => lease.desired && !isDead(lease);

/** What is to end, what is to be placed, and when to look again. */
interface Course {
  end: LeaseFacts[];
  lose: LeaseFacts[];
  want: Place[];
  /** Where it must be placed, when all of the cluster that runs is on one machine. */
  nodeId: NodeId | null;
  /** Part of it runs, on machines of its network: what is missing may go to any that can join. */
  isMeshed: boolean;
  retries: Retries;
  lookAt: Date | null;
  evict: Plan['evict'];
}

export function courseOf(cluster: ClusterFacts, now: Date): Course {
  const lose = cluster.leases.filter(lease => cluster.silentNodes.has(lease.nodeId));
  const leases = cluster.leases.filter(lease => !lose.includes(lease));
  const course: Course = {
    end: [],
    lose,
    want: [],
    nodeId: null,
    isMeshed: false,
    retries: { ...cluster.retries },
    lookAt: null,
    evict: null,
  };
  const endAll = (): Course => ({ ...course, end: leases.filter(lease => lease.desired) });
  const ending = courseOfEnd(cluster.end, now);
  if (cluster.desired !== 'running' || ending?.stage === 'over') return endAll();

  const head = leases.find(lease => lease.role === 'head');
  if (!head?.desired) {
    if (leases.length > 0) return endAll();
    if (ending?.stage === 'leaving') return { ...course, lookAt: ending.lookAt };
    const headPlace = cluster.places[0];
    const due = headPlace ? retryAt(course.retries, headPlace) : null;
    if (due && due > now) return { ...course, lookAt: due };
    return { ...course, want: cluster.places };
  }
  if (isDead(head)) {
    const drained = new Date((head.exitedAt ?? now).getTime() + drainMs);
    if (cluster.activity.live > 0 && drained > now) return { ...course, lookAt: drained };
    noteFailure(course.retries, head, now);
    return endAll();
  }
  const leaving = cluster.drainingNodes.get(head.nodeId);
  if (leaving) return leave(cluster, leaving, course, endAll, now);
  if (ending?.stage === 'leaving') {
    const reason = `${cluster.name} is stopped: ${cluster.end?.message}.`;
    return { ...course, evict: { cause: 'clusterOver', reason, deadline: ending.overAt }, lookAt: ending.lookAt };
  }
  const beside = isMeshed(head) ? { isMeshed: true } : { nodeId: head.nodeId };
  return workers(cluster, leases, { ...course, ...beside }, now);
}

/** Its jobs move first; when none is left, or their time is over, so does the cluster. */
function leave(cluster: ClusterFacts, drain: Drain, course: Course, endAll: () => Course, now: Date): Course {
  if (cluster.activity.live === 0 || drain.deadline <= now) return endAll();
  const reason = `the machine ${drain.name} is being drained (${drain.reason}).`;
  return { ...course, evict: { cause: 'drained', reason, deadline: drain.deadline }, lookAt: drain.deadline };
}

/**
 * The head lives: a worker that is dead, in a place that the spec no longer has, or on a machine that is left, ends; a free
 * place is filled.
 */
function workers(cluster: ClusterFacts, leases: LeaseFacts[], course: Course, now: Date): Course {
  const wanted = new Map(cluster.places.map(place => [placeKey(place), place]));
  for (const lease of leases) {
    if (lease.desired && lease.role === 'worker' && (isDead(lease) || !wanted.has(placeKey(lease)))) {
      course.end.push(lease);
      if (isDead(lease)) noteFailure(course.retries, lease, now);
    } else if (lease.desired) leaveWithWorker(cluster, lease, course, now);
  }
  for (const key of Object.keys(course.retries)) if (!wanted.has(key)) delete course.retries[key];
  const taken = new Set(leases.map(placeKey));
  for (const place of cluster.places.filter(candidate => !taken.has(placeKey(candidate)))) {
    const due = retryAt(course.retries, place);
    if (!due || due <= now) course.want.push(place);
    else if (!course.lookAt || due < course.lookAt) course.lookAt = due;
  }
  return course;
}

/** Its machine is left, that of the head is not: what it runs has until the deadline, and Ray runs that again elsewhere. */
function leaveWithWorker(cluster: ClusterFacts, lease: LeaseFacts, course: Course, now: Date): void {
  const drain = cluster.drainingNodes.get(lease.nodeId);
  if (!drain) return;
  if (cluster.activity.live === 0 || drain.deadline <= now) course.end.push(lease);
  else course.lookAt = earliest(course.lookAt, drain.deadline);
}

function noteFailure(retries: Retries, lease: LeaseFacts, now: Date): void {
  const key = placeKey(lease);
  const proven = lease.readyAt !== null && (lease.exitedAt ?? now).getTime() - lease.readyAt.getTime() >= provenMs;
  const failures = proven ? 1 : (retries[key]?.failures ?? 0) + 1;
  // One that was ready and has ended for the first time is a fault of its surroundings rather than its own.
  const sudden = lease.readyAt !== null && failures === 1;
  const waitMs = sudden ? 0 : Math.min(longestBackoffMs, 1_000 * 2 ** (failures - 1));
  retries[key] = { failures, retryAt: new Date(now.getTime() + waitMs).toISOString() };
}

function retryAt(retries: Retries, place: Place): Date | null {
  const retry = retries[placeKey(place)];
  return retry ? new Date(retry.retryAt) : null;
}

/** `ground` is null while nobody has looked at the machines: needed only where `courseOf` wants something placed. */
export function reconcile(cluster: ClusterFacts, ground: Ground | null, now: Date): Plan {
  const idle = idleness(cluster, now);
  const facts = { ...cluster, desired: desiredOf(cluster, idle.over, now) };
  const course = courseOf(facts, now);
  const placed = place(facts, course, ground ?? { offers: [], all: [], unsuitable: null });
  const { start, refused } = placed;
  const machines = ground?.all ?? null;

  const ending = new Set([...course.end, ...course.lose]);
  const remaining = cluster.leases.filter(lease => !course.lose.includes(lease));
  const head = remaining.find(lease => lease.role === 'head' && !ending.has(lease));
  const headStarts = start.some(lease => lease.place.role === 'head');
  const { phase, taken } = advance(cluster.phase, {
    desired: facts.desired,
    headLives: headStarts || (head !== undefined && lives(head)),
    headReady: head?.phase === 'ready' && head.desired,
    allReleased: remaining.length === 0 && start.length === 0,
  });
  const has = (effect: Transition['effects'][number]) => taken.some(transition => transition.effects.includes(effect));

  const live = remaining.filter(lease => lives(lease) && !ending.has(lease));
  const conditions = conditionsOf({ ...facts, phase }, { live, start, refused, offers: machines }, now);
  return {
    desired: facts.desired,
    phase,
    conditions,
    retries: has('forgetFailures') ? {} : course.retries,
    readyAt: phase === 'ready' ? (cluster.phase === 'ready' ? cluster.readyAt : now) : null,
    idleSince: idle.since,
    lookAt: [course.lookAt, idle.lookAt, lookAtEnd(facts, start, now)].reduce(earliest),
    end: course.end.map(lease => lease.id),
    lose: course.lose.map(lease => lease.id),
    start,
    seats: seatsAfter(facts, remaining, placed),
    refused,
    askIdle: idle.ask,
    evict: course.evict,
    headLost: taken.some(transition => transition.reason === 'HeadLost') || headIsOver(cluster),
    tellWorkers: has('tellWorkers'),
    wakeDispatch: has('wakeDispatch'),
    lines: [
      ...idle.lines,
      ...newsOfEnd(cluster, conditions),
      ...taken.map(transition => lineOf(cluster, transition, start, machines)),
      ...news(cluster, refused),
    ],
  };
}

/** What starts now changes what it costs, and so when its budget is over. */
function lookAtEnd(cluster: ClusterFacts, start: NewLease[], now: Date): Date | null {
  if (cluster.desired !== 'running') return null;
  if (start.length > 0 && cluster.budgetMicroUsd !== null) return now;
  return courseOfEnd(cluster.end, now)?.lookAt ?? null;
}

function desiredOf(cluster: ClusterFacts, idleIsOver: boolean, now: Date): ClusterFacts['desired'] {
  if (idleIsOver || isForsaken(cluster)) return 'deleted';
  const isOver = cluster.desired === 'running' && courseOfEnd(cluster.end, now)?.stage === 'over';
  // What was brought up for jobs nobody would start again.
  if (isOver && cluster.origin === 'job') return 'deleted';
  return isOver ? 'stopped' : cluster.desired;
}

/** Brought up for jobs, on a machine that is being left, with no job on it any more: its jobs get another one. */
const isForsaken = (cluster: ClusterFacts) =>
  cluster.origin === 'job' &&
  cluster.activity.live === 0 &&
  cluster.leases.some(lease => lease.desired && cluster.drainingNodes.has(lease.nodeId));

/** Also while its leases are kept for the ends of logs. */
const headIsOver = (cluster: ClusterFacts) =>
  cluster.activity.live > 0 && cluster.leases.some(lease => lease.role === 'head' && lease.desired && isDead(lease));

function lineOf(
  cluster: ClusterFacts,
  transition: Transition,
  start: NewLease[],
  machines: Ground['all'] | null,
): Line {
  const { name } = cluster;
  const nodeIds = [...new Set(start.map(lease => lease.nodeId))];
  const names = nodeIds.map(nodeId => machines?.find(machine => machine.nodeId === nodeId)?.name ?? 'a machine');
  const where = names.length > 1 ? `${names.slice(0, -1).join(', ')} and ${names.at(-1)}` : (names[0] ?? 'a machine');
  const cpus = start.reduce((total, lease) => total + lease.place.needs.cpus, 0);
  const devices = start.flatMap(lease => lease.deviceIndices);
  const withDevices = devices.length > 0 ? `, accelerators ${devices.join(', ')}` : '';
  const lost = cluster.leases.find(lease => lease.role === 'head');
  const why = lost && cluster.silentNodes.has(lost.nodeId) ? 'its machine went silent' : lost?.message;
  const words: Record<string, string> = {
    ClusterPlaced: `${name} is placed on ${where}: ${start.length} Ray nodes, ${cpus} CPUs${withDevices}`,
    HeadReady: `${name} is ready for jobs`,
    HeadLost: `the head of ${name} is lost (${why || 'no reason given'}); it will be started anew`,
    ClusterStopping: `${name} is being stopped`,
    ClusterStopped: `${name} is stopped`,
    ClusterStarting: `${name} is being started`,
    ClusterDeleting: `${name} is being deleted`,
    ClusterDeleted: `${name} is deleted, all that it held is free`,
  };
  return {
    reason: transition.reason,
    message: words[transition.reason] ?? transition.reason,
    severity: transition.reason === 'HeadLost' ? 'warning' : 'info',
  };
}

/** A refusal is told once, not at each look. */
function news(cluster: ClusterFacts, refused: Plan['refused']): Line[] {
  const before = cluster.conditions.find(condition => condition.type === 'Placed');
  if (!refused || before?.message === refused.message) return [];
  if (refused.isForMoney) {
    // Told once, though what is available may change from one look to the next.
    if (before?.reason === 'NotPaid') return [];
    return [{ reason: 'NotPaid', message: `${cluster.name} waits: ${refused.message}`, severity: 'warning' }];
  }
  return [{ reason: 'NoCapacity', message: `${cluster.name} waits for room: ${refused.message}`, severity: 'warning' }];
}

/** Told when its jobs are asked to move, or when it is stopped at once. */
function newsOfEnd(cluster: ClusterFacts, conditions: Plan['conditions']): Line[] {
  const isEnding = (condition: Plan['conditions'][number]) => condition.type === 'Ending';
  const found = conditions.find(isEnding);
  if (!found || cluster.desired !== 'running' || cluster.conditions.some(isEnding)) return [];
  return [{ reason: found.reason, message: `${cluster.name} is stopped: ${found.message}`, severity: 'warning' }];
}

function earliest(a: Date | null, b: Date | null): Date | null {
  if (!a || !b) return a ?? b;
  return a < b ? a : b;
}
