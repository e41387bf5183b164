/** What a job reserves of a cluster while it runs, and the arithmetic on it. */

import type { Requirements } from '@iocloud/contracts';

export interface Amounts {
  cpus: number;
  gpus: number;
  memoryBytes: number;
  /** Custom Ray resources, name to amount. */
  resources: Record<string, number>;
}

/** What a job asks for. `cpus` null: it did not say. */
export interface Needs extends Omit<Amounts, 'cpus'> {
  cpus: number | null;
  labelSelector: Record<string, string>;
  /** Of the machine that it runs on; absent: any will do. */
  requirements?: Requirements;
}

/** Ray counts in ten-thousandths; sums of such fractions must not fail by the last bit of a float. */
const tolerance = 1e-6;
const defaultCpus = 1;

export const nothing: Amounts = { cpus: 0, gpus: 0, memoryBytes: 0, resources: {} };

/**
 * What a job with these needs holds of a cluster. A driver that states no CPUs still uses some: it counts as one, but
 * never as more than the cluster has, so that a cluster without CPUs on its head can run it as Ray itself would.
 */
export function reservation(needs: Needs, capacity: Amounts): Amounts {
  return {
    cpus: needs.cpus ?? Math.min(defaultCpus, capacity.cpus),
    gpus: needs.gpus,
    memoryBytes: needs.memoryBytes,
    resources: needs.resources,
  };
}

export function add(left: Amounts, right: Amounts): Amounts {
  const resources = { ...left.resources };
  for (const [name, amount] of Object.entries(right.resources)) resources[name] = (resources[name] ?? 0) + amount;
  return {
    cpus: left.cpus + right.cpus,
    gpus: left.gpus + right.gpus,
    memoryBytes: left.memoryBytes + right.memoryBytes,
    resources,
  };
}

/** The first thing of which `wanted` is more than `offered`, in words; null when all of it fits. */
export function shortage(wanted: Amounts, offered: Amounts): string | null {
  const short = (amount: number, of: number) => amount > of + tolerance;
  if (short(wanted.cpus, offered.cpus)) return `${wanted.cpus} CPUs of ${offered.cpus}`;
  if (short(wanted.gpus, offered.gpus)) return `${wanted.gpus} GPUs of ${offered.gpus}`;
  if (short(wanted.memoryBytes, offered.memoryBytes)) {
    return `${wanted.memoryBytes} bytes of memory of ${offered.memoryBytes}`;
  }
  for (const [name, amount] of Object.entries(wanted.resources)) {
    const of = offered.resources[name] ?? 0;
    if (short(amount, of)) return `${amount} ${name} of ${of}`;
  }
  return null;
}
