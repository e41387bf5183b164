/** Which queued job runs where: pure decisions on jobs, clusters and what is reserved. */
export { type Amounts, add, type Needs, nothing, reservation, shortage } from './amounts.js';
export { type LabelCondition, labelsFor, labelsMatch, parseLabelCondition } from './label-selector.js';
export { type Decision, type PlannedCluster, type PlanOptions, plan, type QueuedJob } from './plan.js';
