/** From what Ray reports of a cluster to its live load. Pure. */
import type { ClusterLoad, NodeLoad, RayNodeLoad, ResourceUse } from '@iocloud/contracts';
import type { RayNodeState, ResourceState } from './ray-state/index.js';

/** A load that was read longer ago than this says nothing any more. */
export const maxAgeMs = 30_000;
/** From this share of its CPUs or accelerators in use a node is hot, and a cluster has no room by what Ray says. */
const hotShare = 0.9;
const maxShapes = 100;
/** Ray's idle times grow with each look, but not to the millisecond: the same idleness keeps its beginning. */
const sameIdlenessMs = 2_500;

/** `before` is what was read last: a state that goes on keeps the time since when. */
export function loadOf(state: ResourceState, before: ClusterLoad | null, now: Date): ClusterLoad {
  const present = state.nodes.filter(node => node.status !== 'dead');
  const earlier = new Map(before?.nodes.map(node => [node.leaseId, node]));
  return {
    readAt: now.toISOString(),
    resources: sum(present.map(useOf)),
    waiting: state.waiting
      .slice(0, maxShapes)
      .map(({ bundle, count }) => ({ resources: named(bundle.resources), count })),
    waitingGroups: state.gangs.slice(0, maxShapes).map(({ bundles }) => ({
      bundles: bundles.length,
      resources: named(addAll(bundles.map(bundle => bundle.resources))),
    })),
    nodes: present.map(node => nodeOf(node, earlier.get(leaseOf(node)), now)),
  };
}

function nodeOf(node: RayNodeState, before: RayNodeLoad | undefined, now: Date): RayNodeLoad {
  const resources = useOf(node);
  const hot = isHot(resources.CPU) || isHot(resources.GPU);
  const state = node.status === 'running' ? (hot ? 'hot' : 'busy') : node.status === 'dead' ? 'draining' : node.status;
  const began = state === 'idle' ? now.getTime() - node.idleMs : now.getTime();
  const known = before?.state === state ? Date.parse(before.since) : Number.NaN;
  const goesOn = state !== 'idle' || Math.abs(known - began) <= sameIdlenessMs;
  const since = goesOn && !Number.isNaN(known) ? known : began;
  return { leaseId: leaseOf(node), group: node.group, state, since: new Date(since).toISOString(), resources };
}

const leaseOf = (node: RayNodeState): RayNodeLoad['leaseId'] =>
  /^ls_[0-9a-z]{20}$/.test(node.instanceId) ? (node.instanceId as RayNodeLoad['leaseId']) : null;

/** Resources that Ray makes for itself, of a node's address or of a placement group, are left out. */
const isOwn = (name: string) => !name.startsWith('node:') && !name.includes('_group_');
const named = (amounts: Record<string, number>) =>
  Object.fromEntries(Object.entries(amounts).filter(([name]) => isOwn(name)));

function useOf(node: RayNodeState): ResourceUse {
  return Object.fromEntries(
    Object.entries(named(node.total)).map(([name, total]) => [
      name,
      { used: round(total - (node.available[name] ?? 0)), total },
    ]),
  );
}

function sum(uses: ResourceUse[]): ResourceUse {
  const all: ResourceUse = {};
  for (const use of uses) {
    for (const [name, { used, total }] of Object.entries(use)) {
      const before = all[name] ?? { used: 0, total: 0 };
      all[name] = { used: round(before.used + used), total: before.total + total };
    }
  }
  return all;
}

function addAll(amounts: Record<string, number>[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const one of amounts) for (const [name, amount] of Object.entries(one)) all[name] = (all[name] ?? 0) + amount;
  return all;
}

/** Ray counts in ten-thousandths. */
const round = (amount: number) => Math.round(amount * 1e4) / 1e4;
const isHot = (use: { used: number; total: number } | undefined) =>
  use !== undefined && use.total > 0 && use.used >= hotShare * use.total;

/** Something waits there already, or next to all CPUs are held: another job would wait too, whatever was reserved. */
export function isSaturated(load: ClusterLoad): boolean {
  return load.waiting.length > 0 || load.waitingGroups.length > 0 || isHot(load.resources.CPU);
}

/** The share of its CPUs or its accelerators that is in use, whichever is more. */
export function inUse({ resources }: ClusterLoad): number {
  const shares = [resources.CPU, resources.GPU].map(use => (use && use.total > 0 ? use.used / use.total : 0));
  return Math.max(...shares);
}

/** Nothing has changed that anybody would see, other than the time. */
export function isSame(left: ClusterLoad, right: ClusterLoad): boolean {
  const { readAt: _, ...before } = left;
  const { readAt: __, ...after } = right;
  return JSON.stringify(sorted(before)) === JSON.stringify(sorted(after));
}

/** jsonb keeps no order of keys. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [key, sorted(inner)]);
  return Object.fromEntries(entries.sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** A machine's load from that of the leases on it; null stands for a lease of which Ray has said nothing lately. */
export function machineLoad(leased: { cpus: number; devices: number }, nodes: (RayNodeLoad | null)[]): NodeLoad {
  const heard = nodes.filter(node => node !== null);
  const used = (name: 'CPU' | 'GPU') =>
    round(heard.reduce((total, { resources }) => total + (resources[name]?.used ?? 0), 0));
  const [cpusUsed, devicesUsed] = [used('CPU'), used('GPU')];
  const hot = isHot({ used: cpusUsed, total: leased.cpus }) || isHot({ used: devicesUsed, total: leased.devices });
  const busy = heard.some(({ state }) => state === 'busy' || state === 'hot');
  const state = hot ? 'hot' : busy ? 'busy' : heard.length < nodes.length ? 'unknown' : 'idle';
  return { state, cpusUsed, devicesUsed };
}
