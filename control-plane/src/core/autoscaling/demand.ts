/** What waits on a Ray cluster, in Ray's own words and amounts. */
import type { LabelCondition } from '../queueing/index.js';

/** What one task, actor or bundle of a placement group needs. */
export interface Bundle {
  /** Ray's resources, name to amount: CPU, GPU, memory (bytes), custom ones. */
  resources: Record<string, number>;
  /** All of them must hold. */
  labels: LabelCondition[];
}

/** A placement group: all of it or nothing. */
export interface Gang {
  bundles: Bundle[];
  /** strict-spread: each on a node of its own; strict-pack: all on one node. */
  strategy: 'any' | 'strict-spread' | 'strict-pack';
}

export interface Demand {
  /** Tasks and actors that wait for room. */
  waiting: { bundle: Bundle; count: number }[];
  gangs: Gang[];
  /** What programs want the cluster to have room for in all, by `ray.autoscaler.sdk.request_resources`; Ray Data does. */
  requested: { bundle: Bundle; count: number }[];
}

/** `2 CPU`, `1 GPU and 0.5 CPU`, `nothing` for a task without needs. */
export function bundleInWords({ resources }: Bundle): string {
  const parts = Object.entries(resources)
    .filter(([, amount]) => amount > 0)
    .sort(([left], [right]) => rank(left) - rank(right) || (left < right ? -1 : 1))
    .map(([name, amount]) =>
      name === 'memory' ? `${Math.round(amount / 2 ** 20)} MiB of memory` : `${amount} ${name}`,
    );
  return parts.join(' and ') || 'nothing';
}

const rank = (name: string) => ['GPU', 'CPU'].indexOf(name) >>> 0;
