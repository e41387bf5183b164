/** Live load in words and tables. Pure. */
import type { ClusterLoad, Node, RayNodeLoad } from '@iocloud/contracts';
import { age, bytes, table } from '../output.js';

const isBytes = (name: string) => name === 'memory' || name === 'object_store_memory';
const amount = (name: string, value: number) => (isBytes(name) ? bytes(value) : String(value));
const rank = (name: string) => ['CPU', 'GPU', 'memory', 'object_store_memory'].indexOf(name) >>> 0;
const inOrder = <T>(amounts: Record<string, T>): [string, T][] =>
  Object.entries(amounts).sort(([left], [right]) => rank(left) - rank(right) || (left < right ? -1 : 1));

const needs = (resources: Record<string, number>) =>
  inOrder(resources)
    .map(([name, value]) => `${amount(name, value)} ${name}`)
    .join(', ') || 'nothing';

export function loadInWords(load: ClusterLoad, nowMs: number): string {
  const use = table(
    ['in use', 'used', 'of'],
    inOrder(load.resources).map(([name, { used, total }]) => [name, amount(name, used), amount(name, total)]),
  );
  const waiting = [
    ...load.waiting.map(({ resources, count }) => [`${count} tasks or actors`, `${needs(resources)} each`]),
    ...load.waitingGroups.map(({ bundles, resources }) => [`placement group of ${bundles}`, needs(resources)]),
  ];
  const queue = waiting.length > 0 ? table(['waiting', 'for'], waiting) : 'nothing waits for room';
  return `${use}\n\n${queue} (as of ${age(load.readAt, nowMs)} ago)`;
}

export const rayNodeLoadInWords = (node: RayNodeLoad | undefined, nowMs: number): string =>
  node ? `${node.state} for ${age(node.since, nowMs)}` : '-';

export function nodeLoadInWords({ load, cpusLeased, devicesLeased }: Node): string {
  if (cpusLeased === 0 && devicesLeased.length === 0) return 'idle, nothing is leased';
  const devices = devicesLeased.length > 0 ? `, ${load.devicesUsed} of ${devicesLeased.length} leased devices` : '';
  return `${load.state}: ${load.cpusUsed} of ${cpusLeased} leased CPUs${devices} in use`;
}
