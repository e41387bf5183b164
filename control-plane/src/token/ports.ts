/** What the token rules need of machines, their proofs and the rate of IO; server.ts joins them. */
import type { NodeId, TenantId, VerificationId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

export interface OfferedMachine {
  nodeId: NodeId;
  ownerId: TenantId;
  devices: { uuid: string; model: string }[];
  /** Whole seconds of the time asked for. */
  onlineSeconds: number;
}

export interface TokenMachines {
  /** Machines with accelerators that their owners offer to others, and how long of this time they were online. */
  inHour(db: Queryable, from: Date, until: Date): Promise<OfferedMachine[]>;
  /** Null: there is no such machine, or it was removed. */
  ownerOf(db: Queryable, nodeId: NodeId): Promise<TenantId | null>;
  /** Models of their accelerators, one for each. */
  modelsOf(db: Queryable, nodeIds: NodeId[]): Promise<Map<NodeId, string[]>>;
  /** Placement reads again those that anything is staked on. */
  stakesChanged(db: Queryable, nodeIds: NodeId[]): Promise<void>;
}

export interface TokenProofs {
  /** Devices whose proof of this hour has passed, by machine; leased ones that had passed one within a day before. */
  passed(db: Queryable, hour: Date): Promise<Map<NodeId, Set<string>>>;
  /** Proofs that have failed after `since`, for at least a day, and that no appeal is open or was accepted against. */
  failed(
    db: Queryable,
    since: Date,
    until: Date,
  ): Promise<{ id: VerificationId; nodeId: NodeId; judgedAt: Date; reason: string }[]>;
}

export interface UsableRate {
  usdPerIo: string;
  attoUsdPerIo: bigint;
}
