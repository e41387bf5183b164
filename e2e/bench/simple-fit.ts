/** What simple schedulers do: every node is looked at, and the first or the fullest that has room is taken. */
import type { FleetNode, WorkerGroup } from '@iocloud/control-plane/core/matching';

export type Rule = 'firstFit' | 'bestFit';

export const fits = (node: FleetNode, group: WorkerGroup): boolean =>
  group.accelerator?.models?.includes(node.pools[0]?.model ?? '') ?? true;

/** Micro-USD an hour of one worker of the group there. */
export const priceOf = (node: FleetNode, group: WorkerGroup): number =>
  group.devices * node.microUsdPerGpuHour + group.cpus * node.microUsdPerCpuHour;

interface Free {
  node: FleetNode;
  devices: number;
  cpus: number;
}

export class SimpleFit {
  readonly #free: Free[];

  constructor(
    nodes: readonly FleetNode[],
    readonly rule: Rule,
  ) {
    this.#free = nodes.map(node => ({ node, devices: node.pools[0]?.count ?? 0, cpus: node.cpus }));
  }

  /** Takes a place for one worker of the group, and says where; null when there is none. */
  take(group: WorkerGroup): FleetNode | null {
    let best: Free | null = null;
    for (const one of this.#free) {
      if (!fits(one.node, group) || one.devices < group.devices || one.cpus < group.cpus) continue;
      if (best === null || (this.rule === 'bestFit' && one.devices < best.devices)) best = one;
    }
    if (best === null) return null;
    best.devices -= group.devices;
    best.cpus -= group.cpus;
    return best.node;
  }

  release(nodeId: string, group: WorkerGroup): void {
    const one = this.#free.find(({ node }) => node.nodeId === nodeId);
    if (!one) throw new Error(`there is no node ${nodeId}`);
    one.devices += group.devices;
    one.cpus += group.cpus;
  }
}
