/** What the network between a cluster's machines is to clusters, which place them, and to inventory, which talks to agents. */
import type { ClusterId, MeshNetwork, MeshReport, NodeId, RelayDuty } from '@iocloud/contracts';
import type { Queryable, Transaction } from '../platform/index.js';

/** The machines of a cluster's network by their slots, and the highest slot that any of its machines ever had. */
export interface Seats {
  byNode: ReadonlyMap<NodeId, number>;
  highest: number;
}

export interface MeshBook {
  seats(db: Queryable, clusterId: ClusterId): Promise<Seats>;
  /**
   * From now on these machines and no others belong to the cluster's network; none: there is no network. Returns whose
   * desired state this changes; the caller tells them, in one go with all others that it tells (`changeDesired`).
   */
  hold(tx: Transaction, clusterId: ClusterId, seats: ReadonlyMap<NodeId, number>): Promise<NodeId[]>;
  /** What the machine is to be told. */
  desired(nodeId: NodeId): Promise<{ networks: MeshNetwork[]; relay: RelayDuty | null }>;
  /** What the machine tells, and the address that it does so from. */
  reported(nodeId: NodeId, report: MeshReport, remoteAddress: string | null): Promise<void>;
}
