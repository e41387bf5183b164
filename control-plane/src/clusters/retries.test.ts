import type { ClusterId, LeaseId, NodeId, TenantId } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import type { ClusterFacts, LeaseFacts, Place, Retries } from './facts.js';
import { courseOf } from './reconcile.js';

const start = Date.parse('2026-11-26T12:00:00Z');
const at = (seconds: number) => new Date(start + 1_000 * seconds);
const place = (role: 'head' | 'worker'): Place =>
  ({ role, group: role === 'head' ? 'head' : 'w', ordinal: 0 }) as unknown as Place;
const lease = (role: 'head' | 'worker', changes: Partial<LeaseFacts> = {}): LeaseFacts => ({
  ...({ ...place(role), id: `ls_${role}` as LeaseId, nodeId: 'nd_a' as NodeId } as unknown as LeaseFacts),
  phase: 'ready',
  message: '',
  desired: true,
  nodeIp: '127.0.0.2',
  readyAt: at(0),
  exitedAt: null,
  ...changes,
});
const cluster = (leases: LeaseFacts[], retries: Retries, silent: string[] = []): ClusterFacts => ({
  id: 'cl_a' as ClusterId,
  tenantId: 'tn_a' as TenantId,
  name: 'c',
  origin: 'user',
  desired: 'running',
  phase: 'ready',
  generation: 1,
  rayVersion: '2.60.0',
  requirements: undefined,
  places: [place('head'), place('worker')],
  idleTimeoutSeconds: null,
  budgetMicroUsd: null,
  spending: { spentMicroUsd: 0, microUsdPerHour: 0 } as never,
  uncovered: null,
  end: null,
  conditions: [],
  retries,
  createdAt: at(0),
  readyAt: at(0),
  directBusyAt: null,
  leases,
  seats: { byNode: new Map(), highest: 0 },
  silentNodes: new Set(silent as NodeId[]),
  drainingNodes: new Map(),
  activity: { live: 0, lastEndedAt: null },
  idleConfirmed: false,
});

/** Seconds until the worker may be started again, after it has ended so often, each time so long after it was ready. */
function waitAfter(uptimesSeconds: (number | null)[]): number {
  let retries: Retries = {};
  let clock = 0;
  for (const uptime of uptimesSeconds) {
    const readyAt = uptime === null ? null : at(clock);
    clock += uptime ?? 1;
    const ended = lease('worker', { phase: 'exited', readyAt, exitedAt: at(clock) });
    ({ retries } = courseOf(cluster([lease('head'), ended], retries), at(clock)));
  }
  const retryAt = retries['w/0']?.retryAt;
  return retryAt === undefined ? 0 : Math.max(0, Date.parse(retryAt) - at(clock).getTime()) / 1_000;
}

test('a Ray node that cannot start is tried again ever more seldom, up to once a minute', () => {
  expect([1, 2, 3, 4, 9].map(times => waitAfter(Array(times).fill(null)))).toEqual([1, 2, 4, 8, 60]);
});

test('one that was ready and is struck comes back at once, and however often that happens where it runs in between', () => {
  expect(waitAfter([5])).toBe(0);
  expect(waitAfter(Array(30).fill(20))).toBe(0);
  expect(waitAfter([...Array(9).fill(null), 20])).toBe(0);
});

test('one that ends soon after each start waits as one that cannot start', () => {
  expect(waitAfter([5, 5, 5])).toBe(4);
});

test('what ends with its machine says nothing against a start elsewhere', () => {
  const lost = [lease('head'), lease('worker')];
  const course = courseOf(cluster(lost, {}, ['nd_a']), at(5));
  expect(course.lose).toHaveLength(2);
  expect(course.retries).toEqual({});
  const again = courseOf(cluster([], course.retries), at(5));
  expect(again.want).toHaveLength(2);
});
