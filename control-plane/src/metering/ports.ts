/** What the meter needs to know of leases and machines, and whom it tells; server.ts joins them. */
import type { ClusterId, LeaseId, NodeId, TenantId } from '@iocloud/contracts';
import type { Queryable, Transaction } from '../platform/index.js';

/** Times are milliseconds since 1970. */
export interface LeaseTimes {
  id: LeaseId;
  clusterId: ClusterId;
  nodeId: NodeId;
  readyMs: number | null;
  exitedMs: number | null;
  releasedMs: number | null;
}
export interface MeteredLease extends LeaseTimes {
  tenantId: TenantId;
  role: 'head' | 'worker';
  createdMs: number;
  deviceIndices: number[];
}
export interface MeteredLeases {
  read(db: Queryable, leaseIds: readonly LeaseId[]): Promise<MeteredLease[]>;
  /** Those of a tenant, or of all, that are held or were released no longer ago than this. */
  recent(db: Queryable, tenantId: TenantId | null, releasedSeconds: number): Promise<LeaseId[]>;
  /** All heads that these clusters have had, and when each cluster's head was heard to answer last. */
  heads(db: Queryable, clusterIds: readonly ClusterId[]): Promise<LeaseTimes[]>;
  answered(db: Queryable, clusterIds: readonly ClusterId[]): Promise<Map<ClusterId, number>>;
}
export interface MeteredMachine {
  /** Owner. */
  tenantId: TenantId;
  heardMs: number;
  /** Model of each accelerator by its index. */
  models: ReadonlyMap<number, string>;
}
export interface MeteredMachines {
  read(db: Queryable, nodeIds: readonly NodeId[]): Promise<Map<NodeId, MeteredMachine>>;
}
/** Called in the transaction that has written usage of these clusters. */
export type OnUsage = (tx: Transaction, clusterIds: readonly ClusterId[]) => Promise<void>;
