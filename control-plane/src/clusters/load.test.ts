import type { ClusterLoad } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { isSame, isSaturated, loadOf, machineLoad } from './load.js';
import type { RayNodeState, ResourceState } from './ray-state/index.js';

const now = new Date('2026-01-01T00:01:00.000Z');
const lease = (letter: string) => `ls_${letter.repeat(20)}`;
const node = (letter: string, more: Partial<RayNodeState> = {}): RayNodeState => ({
  rayNodeId: letter.repeat(56),
  instanceId: lease(letter),
  group: 'w',
  status: 'running',
  total: { CPU: 4, memory: 100, 'node:127.0.0.2': 1, CPU_group_0_ab: 2 },
  available: { CPU: 3, memory: 100, 'node:127.0.0.2': 1 },
  idleMs: 0,
  ...more,
});
const state = (...nodes: RayNodeState[]): ResourceState => ({ nodes, waiting: [], gangs: [], requested: [] });
const bundle = (CPU: number) => ({ resources: { CPU }, labels: [] });

describe('the load of a cluster', () => {
  test('sums what its live nodes have, without the resources that Ray makes for itself', () => {
    const load = loadOf(
      state(node('a'), node('b', { available: { CPU: 0.5 } }), node('c', { status: 'dead' })),
      null,
      now,
    );
    expect(load.resources).toEqual({ CPU: { used: 4.5, total: 8 }, memory: { used: 100, total: 200 } });
    expect(load.nodes.map(one => one.leaseId)).toEqual([lease('a'), lease('b')]);
  });

  test('names what waits, tasks by shape and placement groups in all', () => {
    const waits: ResourceState = {
      nodes: [],
      waiting: [{ bundle: bundle(2), count: 3 }],
      gangs: [{ bundles: [bundle(1), bundle(2)], strategy: 'any' }],
      requested: [],
    };
    const load = loadOf(waits, null, now);
    expect(load.waiting).toEqual([{ resources: { CPU: 2 }, count: 3 }]);
    expect(load.waitingGroups).toEqual([{ bundles: 2, resources: { CPU: 3 } }]);
    expect(isSaturated(load)).toBe(true);
  });

  test('says of each node what it does and since when', () => {
    const nodes = [
      node('a', { status: 'idle', idleMs: 40_000 }),
      node('b', { available: { CPU: 0.4 } }),
      node('c'),
      node('d', { status: 'draining' }),
    ];
    const first = loadOf(state(...nodes), null, now);
    expect(first.nodes.map(one => `${one.state} ${one.since.slice(11, 19)}`)).toEqual([
      'idle 00:00:20',
      'hot 00:01:00',
      'busy 00:01:00',
      'draining 00:01:00',
    ]);
    const later = new Date(now.getTime() + 5_000);
    const [a, b] = [node('a', { status: 'idle', idleMs: 45_020 }), node('b', { available: { CPU: 0 } })];
    const second = loadOf(state(a, b, node('c', { available: { CPU: 0 } })), first, later);
    expect(second.nodes.map(one => `${one.state} ${one.since.slice(11, 19)}`)).toEqual([
      'idle 00:00:20',
      'hot 00:01:00',
      'hot 00:01:05',
    ]);
    // Idle, then busy between two looks, then idle again.
    const third = loadOf(state(node('a', { status: 'idle', idleMs: 1_000 })), second, later);
    expect(third.nodes[0]?.since).toBe('2026-01-01T00:01:04.000Z');
  });

  test('is the same as before when only time has passed', () => {
    const before = loadOf(state(node('a', { status: 'idle', idleMs: 40_000 })), null, now);
    const later = new Date(now.getTime() + 5_000);
    const stored = JSON.parse(JSON.stringify(before)) as ClusterLoad;
    expect(isSame(stored, loadOf(state(node('a', { status: 'idle', idleMs: 45_100 })), before, later))).toBe(true);
    expect(isSame(stored, loadOf(state(node('a')), before, later))).toBe(false);
  });

  test('is saturated when next to all CPUs are held, though nothing waits', () => {
    const held = (free: number) => isSaturated(loadOf(state(node('a', { available: { CPU: free } })), null, now));
    expect([held(4), held(1), held(0.4), held(0)]).toEqual([false, false, true, true]);
    expect(isSaturated(loadOf(state(node('a', { total: {}, available: {} })), null, now))).toBe(false);
  });
});

describe('the load of a machine', () => {
  const loads = (...nodes: RayNodeState[]) => loadOf(state(...nodes), null, now).nodes;
  test('is that of what is leased of it', () => {
    expect(machineLoad({ cpus: 0, devices: 0 }, [])).toEqual({ state: 'idle', cpusUsed: 0, devicesUsed: 0 });
    expect(machineLoad({ cpus: 8, devices: 0 }, loads(node('a'), node('b')))).toEqual({
      state: 'busy',
      cpusUsed: 2,
      devicesUsed: 0,
    });
    const gpu = node('g', { total: { CPU: 4, GPU: 2 }, available: { CPU: 4, GPU: 0 } });
    expect(machineLoad({ cpus: 4, devices: 2 }, loads(gpu))).toEqual({ state: 'hot', cpusUsed: 0, devicesUsed: 2 });
    const idle = node('i', { status: 'idle', available: { CPU: 4 } });
    expect(machineLoad({ cpus: 4, devices: 0 }, loads(idle)).state).toBe('idle');
    expect(machineLoad({ cpus: 8, devices: 0 }, [...loads(idle), null]).state).toBe('unknown');
  });
});
