/** What invoices ask of other domains; server.ts joins them. */
import type { ClusterId, LeaseId, PriceVersion, TenantId } from '@iocloud/contracts';
import type { LeaseFacts } from '../clusters/index.js';
import type { HeldAttempt } from '../jobs/index.js';
import type { Queryable } from '../platform/index.js';

export interface InvoicePorts {
  leases(db: Queryable, leaseIds: readonly LeaseId[]): Promise<Map<LeaseId, LeaseFacts>>;
  attempts(db: Queryable, clusterIds: readonly ClusterId[], from: Date, until: Date): Promise<HeldAttempt[]>;
  priceVersions(db: Queryable, ids: readonly string[]): Promise<PriceVersion[]>;
  /** Throws Failure 'not-found'. */
  tenantName(db: Queryable, tenantId: TenantId): Promise<string>;
}
