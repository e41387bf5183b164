/** What an operator may set about the queue. */
import { defaultOrderTerms, type OrderTerms } from './order.js';
import type { PriorityClass } from './workload.js';

export interface QueueTerms {
  order: OrderTerms;
  /** These preempt preemptible work of a lower class when there is no room. */
  preempting: readonly PriorityClass[];
  /** From the signal to stop until it is freed by force: time to write a checkpoint. */
  graceMs: number;
  /** So many of those that wait for room have a place reserved. */
  maxReservations: number;
  /** What waits for a lower price, or for room to call back what its tenant has lent, looks again after this. */
  priceLookMs: number;
  /** What cannot be given room by preemption, or has outlived its reservation's start, is thought about again after this. */
  retryMs: number;
  /** A borrower that waits longer than this lets no later one of its cohort or tenant go before it. */
  loanPatienceMs: number;
  /** A budget must cover at least this long where nobody knows how long the work takes. */
  shortestRunMs: number;
}

export const defaultQueueTerms: QueueTerms = {
  order: defaultOrderTerms,
  preempting: ['urgent'],
  graceMs: 30_000,
  maxReservations: 4,
  priceLookMs: 60_000,
  retryMs: 10_000,
  loanPatienceMs: 3_600_000,
  shortestRunMs: 60_000,
};
