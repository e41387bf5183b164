/** What billing offers to clusters; server.ts joins the two. */
import type { ClusterId, TenantId } from '@iocloud/contracts';
import type { Transaction } from '../platform/index.js';

export interface CoverWanted {
  clusterId: ClusterId;
  tenantId: TenantId;
  name: string;
  /** Of the leases to be made, on machines of others: one's own cost nothing. */
  microUsdPerHour: number;
  /** What its budget leaves; null: it has none. */
  budgetLeftMicroUsd: number | null;
  now: Date;
}

/** `orderId`: what pays for them; null: nothing is held. */
export type Cover = { orderId: string | null } | { refused: string };

export interface Orders {
  /** Sets money aside for leases that are made in the same transaction, or says why it cannot. */
  cover(tx: Transaction, wanted: CoverWanted): Promise<Cover>;
}

/** Where nobody has to pay. */
export const freeOfCharge: Orders = { cover: async () => ({ orderId: null }) };
