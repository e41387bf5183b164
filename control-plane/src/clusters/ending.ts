/** When a cluster must be stopped, by its time, its budget or its tenant's money, and how: its jobs are asked to move first. Pure. */
import { type ClusterSpec, defaultGraceSeconds } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import { affordableMs, costMicroUsd } from '../core/queueing/index.js';

/** From the word to a machine that a lease shall end until the machine has confirmed it, with a good margin. */
export const stoppingMs = 10_000;
/** What a job has by default from SIGTERM to SIGKILL. */
export const graceMs = defaultGraceSeconds * 1_000;
/** A Ray node that could be paid for no longer than this is not started. */
export const leastPaidMs = 60_000 + graceMs + stoppingMs;

/** What a cluster has cost, and costs now: the prices of all leases that are not released, in micro-USD. */
export interface Spending {
  spentMicroUsd: number;
  microUsdPerHour: number;
}

/** `at`: nothing of it may be held any more. */
export interface End {
  at: Date;
  reason: 'BudgetSpent' | 'TimeOver' | 'NotPaid';
  message: string;
}

type Limits = Pick<ClusterSpec, 'budgetMicroUsd' | 'until'>;

/** The first of its limits that will be reached as things are; null: none. */
export function endOf(
  { budgetMicroUsd, until }: Limits,
  spending: Spending,
  now: Date,
  /** Until when it is paid for; absent: no end is in sight. */
  paid?: Pick<End, 'at' | 'message'>,
): End | null {
  const ends: End[] = paid ? [{ ...paid, reason: 'NotPaid' }] : [];
  if (until !== null) ends.push({ at: new Date(until), reason: 'TimeOver', message: `it was to run until ${until}` });
  const left = budgetMicroUsd === null ? null : budgetMicroUsd - spending.spentMicroUsd;
  if (left !== null && (left <= 0 || spending.microUsdPerHour > 0)) {
    const paidMs = left <= 0 ? 0 : Math.min(affordableMs(left, spending.microUsdPerHour), farMs);
    const at = new Date(now.getTime() + paidMs);
    ends.push({ at, reason: 'BudgetSpent', message: `its budget of $${usdInWords(budgetMicroUsd ?? 0)} is spent` });
  }
  return ends.sort((one, other) => one.at.getTime() - other.at.getTime())[0] ?? null;
}

/** Later than anybody plans, and still a date. */
const farMs = 36_500 * 86_400_000;

/** Why what is left of the budget does not allow for `moreMicroUsdPerHour`; null: it does. */
export function unaffordable(
  budgetMicroUsd: number | null,
  spending: Spending,
  moreMicroUsdPerHour: number,
): string | null {
  if (budgetMicroUsd === null) return null;
  const price = spending.microUsdPerHour + moreMicroUsdPerHour;
  if (spending.spentMicroUsd + costMicroUsd(price, leastPaidMs) <= budgetMicroUsd) return null;
  const left = usdInWords(Math.max(0, budgetMicroUsd - spending.spentMicroUsd));
  return `of its budget $${left} is left, which at $${usdInWords(price)} an hour is too little to start anything`;
}

/**
 * `leaving`: its jobs are asked to move until `overAt`, and no new ones come; `over`: it is stopped. `lookAt`: when that
 * will be otherwise.
 */
export function courseOfEnd(
  end: End | null,
  now: Date,
): { stage: 'on' | 'leaving' | 'over'; overAt: Date; lookAt: Date } | null {
  if (end === null) return null;
  const overAt = new Date(end.at.getTime() - stoppingMs);
  const leaveAt = new Date(overAt.getTime() - graceMs);
  if (now >= overAt) return { stage: 'over', overAt, lookAt: now };
  if (now >= leaveAt) return { stage: 'leaving', overAt, lookAt: overAt };
  return { stage: 'on', overAt, lookAt: leaveAt };
}
