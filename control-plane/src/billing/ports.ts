/** What billing offers to clusters; server.ts joins the two. */
import type { ClusterId, TenantId } from '@iocloud/contracts';
import type { Queryable, Transaction } from '../platform/index.js';

export interface Price {
  tenantId: TenantId;
  /** Of the leases to be made, on machines of others: one's own cost nothing. */
  microUsdPerHour: number;
  /** What its budget leaves; null: it has none. */
  budgetLeftMicroUsd: number | null;
  now: Date;
}

export interface CoverWanted extends Price {
  clusterId: ClusterId;
  name: string;
}

/** `orderId`: what pays for them; null: nothing is held. */
export type Cover = { orderId: string | null } | { refused: string };

export interface Orders {
  /** Sets money aside for leases that are made in the same transaction, or says why it cannot. */
  cover(tx: Transaction, wanted: CoverWanted): Promise<Cover>;
  /** Why it could not for a new order at this price; null: it could. */
  refusal(db: Queryable, price: Price): Promise<string | null>;
}

/** Where nobody has to pay. */
export const freeOfCharge: Orders = { cover: async () => ({ orderId: null }), refusal: async () => null };
