/** A workload with what the queue knows of it, and the order between two of them. */
import type { Lane } from './backlog.js';
import type { Wait } from './waiting.js';
import type { Workload, WorkloadState } from './workload.js';

/** Why running work has been told to stop: for another workload, or because its budget ends. */
export interface Stop {
  why: 'preempted' | 'reclaimed' | 'budget';
  forId: string | null;
  graceUntilMs: number;
}

export interface Held<Placement> {
  placement: Placement;
  sinceMs: number;
  /** Work before this need not be done again. */
  checkpointedAtMs: number;
  /** Null: nobody knows. */
  expectedEndMs: number | null;
  /** When it must be told to stop so that its budget is not passed, grace included. */
  stopAtMs: number | null;
}

export interface Entry<Request, Placement> {
  readonly id: string;
  workload: Workload<Request>;
  state: WorkloadState;
  rankMs: number;
  lane: Lane<Request, Placement> | null;
  /** First of its lane: others were told to stop for its place, or quota is kept for it that those before it wait for. */
  leads: boolean;
  /** Set aside by itself, while its lane goes on without it. */
  aside: Wait | null;
  notBeforeMs: number;
  loanSinceMs: number | null;
  /** What it holds while it runs. */
  held: Held<Placement> | null;
  stop: Stop | null;
  /** So many have been told to stop for it and hold on still. */
  awaiting: number;
  admissions: number;
  spentMicroUsd: number;
  /** When time alone has it looked at next. */
  lookAtMs: number | null;
  /** Making room by preemption is tried again after this. */
  preemptAfterMs: number;
}

type Ranked = { readonly id: string; rankMs: number; workload: { submittedAtMs: number } };

/** Total: the id decides between equals, so that the order does not depend on history. */
export function ranksBefore(one: Ranked, other: Ranked): boolean {
  if (one.rankMs !== other.rankMs) return one.rankMs < other.rankMs;
  if (one.workload.submittedAtMs !== other.workload.submittedAtMs) {
    return one.workload.submittedAtMs < other.workload.submittedAtMs;
  }
  return one.id < other.id;
}
