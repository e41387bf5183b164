/** What tunnels need of their neighbours; server.ts joins them. */
import type { Duplex } from 'node:stream';
import type { LeaseId, NodeId, Permission, StreamRequest, TenantId } from '@iocloud/contracts';
import type { Entrance } from '../clusters/index.js';
import type { Queryable } from '../platform/index.js';

/** Where a tenant's people may get in. */
export interface Entrances {
  /** The lease that a name stands for, or in words why there is none. */
  find(db: Queryable, tenantId: TenantId, name: string): Promise<Entrance | { refused: string }>;
  /** Those of these leases that are wanted still, and not known to have ended. */
  open(db: Queryable, leaseIds: readonly LeaseId[]): Promise<Set<string>>;
}

/** Those of these users and API keys that may do it now. */
export type MayNow = (db: Queryable, ids: readonly string[], permission: Permission) => Promise<Set<string>>;

/** Opens a stream to a machine's agent. Throws StreamRefused. */
export type OpenStream = (nodeId: NodeId, request: StreamRequest) => Promise<Duplex>;
