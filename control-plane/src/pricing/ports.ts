/** What pricing needs of machines and their leases; server.ts joins them. */
import type { NodeId, PriceVersion } from '@iocloud/contracts';
import type { Queryable, Transaction } from '../platform/index.js';

/** What the prices of a machine were made of at a time: kept with each lease, so that its price can be explained. */
export interface PriceBasis {
  microUsdPerCpuHour: number;
  microUsdPerGpuHour: number;
  /** The owner's own price; where `market` is not null, the least that it takes. */
  ownMicroUsdPerGpuHour: number;
  /** Null: the machine goes by its own price. */
  market: {
    versions: { id: PriceVersion['id']; microUsdPerGpuHour: number }[];
    /** Parts of a million that the market price is multiplied by, with what they stand for. */
    factors: { reason: string; ppm: number }[];
  } | null;
}

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
