/** What one transaction of the ledger is on an invoice: its amount, shared out over the usage that it was for. Pure. */
import type { Asset, LeaseId } from '@iocloud/contracts';
import { type Month, monthOf } from './months.js';

/** A usage line (0100_usage.sql) that a transaction charges. */
export interface UsagePart {
  usageLineId: number;
  leaseId: LeaseId;
  windowStartMs: number;
  /** Above 0: it corrects the window. */
  revision: number;
  costMicroUsd: bigint;
  microUsdPerHour: bigint;
  /** Accelerators × time. */
  heldMs: bigint;
  billedMs: bigint;
}

export interface Charge {
  /** Null: usage that costs nothing. */
  transactionId: number | null;
  kind: 'settlement' | 'correction' | 'reversal' | 'emission' | 'free';
  atMs: number;
  asset: Asset | null;
  /** In the asset's smallest unit: what the renter paid, or what the supplier got. Negative: given back. */
  amount: bigint;
  /** What of it were fees on top of the rent. */
  fee: bigint;
  /** Of the whole, where it is for no usage line. */
  costMicroUsd: bigint;
  note: string;
  parts: readonly UsagePart[];
}

/** A part of a charge: on exactly one line of exactly one invoice of its tenant. */
export interface Entry {
  transactionId: number | null;
  usageLineId: number | null;
  leaseId: LeaseId | null;
  kind: LineKind;
  /** When the usage was. */
  atMs: number;
  microUsdPerHour: bigint | null;
  costMicroUsd: bigint;
  heldMs: bigint;
  billedMs: bigint;
  asset: Asset | null;
  amount: bigint;
  fee: bigint;
  note: string;
}
export type LineKind = 'usage' | 'correction' | 'reward' | 'other' | 'free';

/**
 * Shares that sum to the total exactly, each within a unit of its part in proportion to the weights where these have one
 * sign. Weights that sum to zero say nothing: then all of it is the last one's.
 */
export function shared(total: bigint, weights: readonly bigint[]): bigint[] {
  const sum = weights.reduce((all, weight) => all + weight, 0n);
  let weighed = 0n;
  let given = 0n;
  return weights.map((weight, index) => {
    weighed += weight;
    const until = index === weights.length - 1 ? total : sum === 0n ? 0n : (total * weighed) / sum;
    const share = until - given;
    given = until;
    return share;
  });
}

/** When a charge was due: when its usage was, never later than it was posted. */
export const dueMs = ({ atMs, parts }: Pick<Charge, 'atMs' | 'parts'>): number =>
  parts.length === 0 ? atMs : Math.min(atMs, Math.max(...parts.map(({ windowStartMs }) => windowStartMs)));

/** The month on whose invoice a charge that is on none yet comes: its own, or the first that is still open (null: all are). */
export function invoicedIn(charge: Pick<Charge, 'atMs' | 'parts'>, firstOpen: Month | null): Month {
  const month = monthOf(dueMs(charge));
  return firstOpen !== null && month < firstOpen ? firstOpen : month;
}

/** `beginMs`: of the month of the invoice; what was used before it is corrected by it. */
export function entriesOf(charge: Charge, beginMs: number): Entry[] {
  const { transactionId, asset, note } = charge;
  if (charge.parts.length === 0) {
    const { atMs, costMicroUsd, amount, fee } = charge;
    const kind = charge.kind === 'emission' ? 'reward' : kindOf(charge, atMs, 0, beginMs);
    const none = { usageLineId: null, leaseId: null, microUsdPerHour: null, heldMs: 0n, billedMs: 0n };
    return [{ ...none, transactionId, kind, atMs, costMicroUsd, asset, amount, fee, note }];
  }
  const weights = charge.parts.map(({ costMicroUsd }) => costMicroUsd);
  const amounts = shared(charge.amount, weights);
  const fees = shared(charge.fee, weights);
  return charge.parts.map((part, index) => ({
    transactionId,
    usageLineId: part.usageLineId,
    leaseId: part.leaseId,
    kind: kindOf(charge, part.windowStartMs, part.revision, beginMs, true),
    atMs: part.windowStartMs,
    microUsdPerHour: part.microUsdPerHour,
    costMicroUsd: part.costMicroUsd,
    heldMs: part.heldMs,
    billedMs: part.billedMs,
    asset,
    amount: amounts[index] ?? 0n,
    fee: fees[index] ?? 0n,
    note,
  }));
}

function kindOf({ kind }: Charge, atMs: number, revision: number, beginMs: number, isUsage = false): LineKind {
  if (kind === 'free') return 'free';
  if (kind !== 'settlement' || revision > 0 || atMs < beginMs) return 'correction';
  return isUsage ? 'usage' : 'other';
}
