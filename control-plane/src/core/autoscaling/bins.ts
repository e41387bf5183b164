/** Nodes, present and to come, into which waiting demand is packed first-fit. */
import type { Bundle } from './demand.js';

/** Ray counts in ten-thousandths; sums of such fractions must not fail by the last bit of a float. */
const tolerance = 1e-6;

export interface Bin {
  group: string;
  labels: Record<string, string>;
  free: Record<string, number>;
  /** What programs may still request of it, whether or not it is free: `request_resources` speaks of sizes, not of use. */
  whole: Record<string, number>;
  /** Something that waits, or is requested, was packed here. */
  needed: boolean;
}
type Ledger = 'free' | 'whole';

/** How many of the bundle the bin takes; Infinity for one that needs nothing. */
export function fits(bin: Bin, bundle: Bundle, ledger: Ledger = 'free'): number {
  if (!labelsAllow(bin.labels, bundle)) return 0;
  let times = Number.POSITIVE_INFINITY;
  for (const [name, amount] of Object.entries(bundle.resources)) {
    if (amount > 0) times = Math.min(times, Math.floor(((bin[ledger][name] ?? 0) + tolerance) / amount));
  }
  return times;
}

export function take(bin: Bin, bundle: Bundle, times: number, ledger: Ledger = 'free'): void {
  bin.needed = true;
  for (const [name, amount] of Object.entries(bundle.resources)) {
    if (amount > 0) bin[ledger][name] = (bin[ledger][name] ?? 0) - amount * times;
  }
}

/**
 * Labels under `ray.io/` are set by Ray itself and are not known before a node is there: they exclude no node, but for
 * the id of one certain node, which no new one can have.
 */
function labelsAllow(labels: Record<string, string>, bundle: Bundle): boolean {
  return bundle.labels.every(({ key, negated, values }) => {
    if (key === 'ray.io/node-id') return negated;
    if (key.startsWith('ray.io/')) return true;
    const value = labels[key];
    return (value !== undefined && values.includes(value)) !== negated;
  });
}

export const copyOf = (bin: Bin): Bin => ({ ...bin, free: { ...bin.free }, whole: { ...bin.whole } });

/** The bundle that asks for as much as all of these together. */
export function sumOf(bundles: Bundle[]): Bundle {
  const resources: Record<string, number> = {};
  for (const bundle of bundles) {
    for (const [name, amount] of Object.entries(bundle.resources)) resources[name] = (resources[name] ?? 0) + amount;
  }
  return { resources, labels: bundles.flatMap(bundle => bundle.labels) };
}
