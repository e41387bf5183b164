/** What stands in the queue, and the life of it as a table. */
import { type PriorityClass, priorityClasses } from '@iocloud/contracts';
import type { Demand } from './quota.js';

export { type PriorityClass, priorityClasses };

export interface Workload<Request> {
  id: string;
  tenantId: string;
  priorityClass: PriorityClass;
  /** Kept over attempts: what was preempted or lost comes back to its old place. */
  submittedAtMs: number;
  /** What the ground is asked for: all of it or nothing. */
  request: Request;
  /** Equal for two requests only if the ground answers both alike, so that one refusal stands for all of a kind. */
  shape: string;
  /** What it counts against quotas and shares. */
  demand: Demand;
  /** May be told to stop, with grace, for more urgent work or for a tenant that wants back what it lent. */
  preemptible: boolean;
  /** The longest that one attempt takes, as far as is known. Null: unknown. */
  expectedDurationMs: number | null;
  deadlineMs: number | null;
  /** Cost-sensitive: it waits for a placement of at most this price, until its deadline forces it. */
  cheapWindow: { maxMicroUsdPerHour: number } | null;
  /** Of all its attempts together. */
  budgetMicroUsd: number | null;
}

/** What the renter may change while it is queued. */
export type WorkloadChanges<Request> = Partial<Omit<Workload<Request>, 'id' | 'tenantId' | 'submittedAtMs'>>;

export type WorkloadState = 'queued' | 'running' | 'stopping' | 'ended';

/** `signal`: it has been told to stop and has its grace; `freed`: nothing of it holds anything any more. */
export type WorkloadEvent = 'admit' | 'signal' | 'freedForOthers' | 'freedForGood' | 'finish' | 'lose' | 'withdraw';

/** An event that is absent cannot happen in that state. */
export const workloadTransitions: Record<WorkloadState, Partial<Record<WorkloadEvent, WorkloadState>>> = {
  queued: { admit: 'running', withdraw: 'ended' },
  running: { signal: 'stopping', finish: 'ended', lose: 'queued', withdraw: 'ended' },
  // Told to stop, it may still finish by itself, or be lost with its machine.
  stopping: { freedForOthers: 'queued', freedForGood: 'ended', finish: 'ended', lose: 'queued', withdraw: 'ended' },
  ended: {},
};

export function nextState(id: string, state: WorkloadState, event: WorkloadEvent): WorkloadState {
  const next = workloadTransitions[state][event];
  if (next === undefined) throw new Error(`workload ${id} cannot have '${event}' while it is ${state}`);
  return next;
}
