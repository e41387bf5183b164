/** What invoices ask of other domains; server.ts joins them. */
import type { ClusterId, LeaseId, NodeId, PriceVersion, TenantId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

export interface InvoicedLease {
  tenantId: TenantId;
  clusterId: ClusterId;
  clusterName: string;
  nodeId: NodeId;
  nodeName: string;
  model: string;
  microUsdPerHour: number;
  /** What the price was made of. */
  priceBasis: Record<string, unknown>;
}

export interface InvoicedAttempt {
  clusterId: ClusterId;
  submissionId: string;
  raySubmissionId: string;
  number: number;
  gpus: number;
  startedAt: Date;
  endedAt: Date | null;
}

export interface InvoicePorts {
  leases(db: Queryable, leaseIds: readonly LeaseId[]): Promise<Map<LeaseId, InvoicedLease>>;
  attempts(db: Queryable, clusterIds: readonly ClusterId[], from: Date, until: Date): Promise<InvoicedAttempt[]>;
  priceVersions(db: Queryable, ids: readonly string[]): Promise<PriceVersion[]>;
  /** Throws Failure 'not-found'. */
  tenantName(db: Queryable, tenantId: TenantId): Promise<string>;
}
