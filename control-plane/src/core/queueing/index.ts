/**
 * Which queued work runs where, pure: the queue with classes, ageing, shares, quotas, preemption, reservations and budgets
 * over any ground (`Queue`), the ground of jobs, which is clusters and machines (`JobQueue`), and the rules of attempts.
 */
export { type Amounts, add, type Needs, nothing, reservation, shortage } from './amounts.js';
export * from './attempt-rules.js';
export type { JobCluster, JobHold } from './cluster-draft.js';
export { DevicePools, type PoolMachine, type PoolPlacement, type PoolRequest } from './device-pools.js';
export type { Stop } from './entry.js';
export { type Ground, type GroundRefusal, isRefusal } from './ground.js';
export { type JobMachine, type Occupant, withCeiling } from './job-ground.js';
export {
  demandOf,
  type JobDecision,
  type JobDecisions,
  type JobMemory,
  JobQueue,
  type JobQueueTerms,
  type JobScene,
  type OtherWork,
  type QueuedJob,
  type RunningJob,
  unstatedCapacity,
} from './job-queue.js';
export { type LabelCondition, labelsFor, labelsMatch, parseLabelCondition } from './label-selector.js';
export { defaultOrderTerms, type OrderTerms, overtakingLimitMs, rankMs } from './order.js';
export { OrderedHeap } from './ordered-heap.js';
export {
  type Adoption,
  type Explanation,
  type Memory,
  Queue,
  type QueueDecision,
  type Step,
  type StepLimits,
} from './queue.js';
export { type Demand, QuotaBook, type TenantTerms } from './quota.js';
export { affordableMs, costMicroUsd } from './spending.js';
export { defaultQueueTerms, type QueueTerms } from './terms.js';
export type { Wait, WaitCode } from './waiting.js';
export {
  type PriorityClass,
  priorityClasses,
  type Workload,
  type WorkloadChanges,
  type WorkloadState,
  workloadTransitions,
} from './workload.js';
