/**
 * When a lease was held, and when of that time it worked, from what is on record. Pure; docs/metering.md, "What is
 * billable". What is counted up to a moment never becomes less by learning more of what came later, so it can be shown as
 * a counter: time counts only up to where the machine is known to have been there.
 */
import { both, lengthUntil, type Span, union, without } from './spans.js';

/** A Ray node's time on a machine. */
export interface Presence {
  readyMs: number | null;
  /** The earliest of: it has exited, it was told to end, it was released. */
  endMs: number | null;
  /** When its machine was heard last. */
  heardMs: number;
  /** When its machine was silent, or a check of it had failed. */
  interruptions: readonly Span[];
}

export interface LeaseRecord extends Presence {
  createdMs: number;
  releasedMs: number | null;
  /** Of all heads that its cluster has had; its own presence if it is one. */
  heads: readonly Presence[];
  /** When the cluster's head answered last; null: it has not been asked yet. */
  answeredMs: number | null;
  /** When the head did not answer, and what its supplier has said of the lease itself. */
  clusterInterruptions: readonly Span[];
}

/** A pause between two signs of life that says nothing. */
export interface Patience {
  heardMs: number;
  answeredMs: number;
}

export interface Held {
  allocated: readonly Span[];
  billable: readonly Span[];
}

export function heldOf(record: LeaseRecord, patience: Patience): Held {
  const heads = union(record.heads.flatMap(head => presence(head, patience.heardMs)));
  const worked = both(presence(record, patience.heardMs), heads);
  const { answeredMs, releasedMs } = record;
  // Of one that is released, what had not been answered is among the interruptions.
  const answered = answeredMs === null || releasedMs !== null ? worked : known(worked, answeredMs, patience.answeredMs);
  return {
    allocated: [{ fromMs: record.createdMs, untilMs: record.releasedMs }],
    billable: without(answered, record.clusterInterruptions),
  };
}

export const heldUntil = (
  { allocated, billable }: Held,
  atMs: number,
): { allocatedMs: number; billableMs: number } => ({
  allocatedMs: lengthUntil(allocated, atMs),
  billableMs: lengthUntil(billable, atMs),
});

function presence({ readyMs, endMs, heardMs, interruptions }: Presence, patienceMs: number): Span[] {
  if (readyMs === null) return [];
  return without(known([{ fromMs: readyMs, untilMs: endMs }], heardMs, patienceMs), interruptions);
}

/** Without what comes after the last sign of life, unless that is followed by the end so soon that none was due. */
const known = (spans: readonly Span[], signMs: number, patienceMs: number): Span[] =>
  union(
    spans.map(({ fromMs, untilMs }) => ({
      fromMs,
      untilMs: untilMs !== null && untilMs <= signMs + patienceMs ? untilMs : signMs,
    })),
  );
