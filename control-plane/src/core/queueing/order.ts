/**
 * Who goes first. A workload's rank is a point in time that never changes while it waits, so nothing is sorted anew as
 * time passes: its submission, less the head start of its class. That is ageing: after waiting for the difference of two
 * head starts, work of the lower class stands before new work of the higher one.
 *
 * Between tenants a handicap is added that grows with the tenant's dominant share. It is bounded, so that no workload is
 * ever behind one that was submitted later than `overtakingLimitMs` after it.
 */
import { type PriorityClass, priorityClasses, type Workload } from './workload.js';

export interface OrderTerms {
  headStartMs: Record<PriorityClass, number>;
  /** The handicap of a tenant that holds everything: one at half of its weighted share carries half of it. */
  fairnessMs: number;
}

const hourMs = 3_600_000;

/** The gaps between classes are wider than the fairness, so that for work of one age the class comes before the share. */
export const defaultOrderTerms: OrderTerms = {
  headStartMs: { low: 0, normal: 12 * hourMs, high: 24 * hourMs, urgent: 72 * hourMs },
  fairnessMs: 6 * hourMs,
};

export function rankMs(
  workload: Pick<Workload<unknown>, 'submittedAtMs' | 'priorityClass'>,
  terms: OrderTerms,
): number {
  return workload.submittedAtMs - terms.headStartMs[workload.priorityClass];
}

/** `share`: of the whole, over the tenant's weight; what passes 1 counts as 1. */
export function handicapMs(share: number, terms: OrderTerms): number {
  return Math.min(1, share) * terms.fairnessMs;
}

/** What is submitted later than this after a workload of the class never stands before it. */
export function overtakingLimitMs(priorityClass: PriorityClass, terms: OrderTerms): number {
  const most = Math.max(...priorityClasses.map(each => terms.headStartMs[each]));
  return most - terms.headStartMs[priorityClass] + terms.fairnessMs;
}
