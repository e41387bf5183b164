/** What pricing needs of machines and their leases; server.ts joins them. */
import type { NodeId } from '@iocloud/contracts';
import type { Queryable, Transaction } from '../platform/index.js';

/** An accelerator for a part of a time. */
export interface DeviceTime {
  nodeId: NodeId;
  index: number;
  /** Whole seconds. */
  seconds: number;
}

export interface PricedMachines {
  /** Accelerators that their owners offer to others, and for how long of this time, with their models. */
  offered(db: Queryable, from: Date, until: Date): Promise<(DeviceTime & { model: string })[]>;
  /** Machines that take the market price cost another one now: placement reads them again. */
  pricesChanged(tx: Transaction): Promise<void>;
}

export interface PricedLeases {
  /** Accelerators that were in a lease, and for how long of this time. */
  held(db: Queryable, from: Date, until: Date): Promise<DeviceTime[]>;
}
