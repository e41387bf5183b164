/** Priority classes as head starts: the queue is ordered by one time that never changes while a job waits. */
import type { PriorityClass } from '@iocloud/contracts';

const hourMs = 3_600_000;

/**
 * What a class is ahead by, in milliseconds. A job of a low class goes before every job of a high class that was submitted
 * later than the difference between the two: that is the longest that priority alone can hold it back.
 */
export const headStartMs: Readonly<Record<PriorityClass, number>> = {
  low: 0,
  normal: 4 * hourMs,
  high: 24 * hourMs,
  urgent: 7 * 24 * hourMs,
};

/** The place in the queue: smaller goes first. Milliseconds since the epoch. */
export const queueAtMs = (submittedAtMs: number, priority: PriorityClass): number =>
  submittedAtMs - headStartMs[priority];
