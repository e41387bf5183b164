/** What billing is given at its start. */
import type { Fees, Ratio } from '../core/billing/index.js';
import type { Queryable } from '../platform/index.js';

export interface BillingTerms {
  /** `off`: usage is metered and its cost shown; nothing is held or paid. */
  mode: 'off' | 'prepaid';
  fees: Fees;
  /** For how long ahead the hold of an order pays. */
  aheadMs: bigint;
  /** Whose money covers what it runs for less than so long is told. */
  lowBalanceHours: number;
  rate(db: Queryable): Promise<IoPrice>;
}

export interface IoPrice {
  /** What an IO is worth in USD; null: it is not known, or too old to charge with. */
  usable: Ratio | null;
  /** The last that was known, to size holds with. */
  last: Ratio | null;
}

export const actor = 'billing';
