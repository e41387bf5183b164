/** What has happened to a RayJob, as an event of its state machine; `undefined` while nothing has. */
import { isTrue } from '../conditions.js';
import type { RayJob } from '../kubernetes-objects.js';
import {
  canReuseCluster,
  deadlineMs,
  hasEnded,
  hasSuspendedGroups,
  isClusterReady,
  isHeadReady,
  keepsHead,
  type Observed,
  ownsCluster,
  stateOf,
  submitterEnd,
} from './observation.js';
import { type EventName, isActive } from './states.js';

export const jobConditions = { reachable: 'DashboardReachable', submitted: 'JobSubmitted' } as const;

export interface Patience {
  /** A head that does not answer is waited for so long: as long as workers wait for a head that restarts. */
  dashboardMs: number;
  /** A head that answers and does not know the job is asked again for so long. */
  lostMs: number;
}

export interface JobEvent {
  name: EventName;
  reason?: string;
  message?: string;
}

export function decide(job: RayJob, observed: Observed, patience: Patience): JobEvent | undefined {
  const state = stateOf(job);
  if (isActive(state)) {
    if (job.spec.suspend) return { name: 'suspend' };
    const end = state === 'Running' ? endOf(job, observed) : undefined;
    if (end) return end;
    const deadline = deadlineMs(job);
    if (deadline && observed.nowMs >= deadline.atMs) return { ...deadline, name: 'fail' };
  }
  switch (state) {
    case '':
      if (observed.problems.length > 0) {
        return { name: 'refuse', reason: 'ValidationFailed', message: observed.problems.join('; ') };
      }
      if (job.spec.suspend) return { name: 'suspend' };
      return ownsCluster(job) || observed.selected ? { name: 'begin' } : undefined;
    case 'ValidationFailed':
      return job.metadata.generation === job.status?.observedGeneration ? undefined : { name: 'mend' };
    case 'Initializing':
      return whenReady(job, observed);
    case 'Waiting':
      return job.spec.jobId ? { name: 'submit' } : undefined;
    case 'Running':
      return loss(job, observed, patience);
    case 'Suspending':
      return isAtRest(job, observed, patience) ? { name: 'rest' } : undefined;
    case 'Suspended':
      return job.spec.suspend ? undefined : { name: 'resume' };
    case 'Retrying':
      return isCleared(job, observed) ? { name: 'again' } : undefined;
    default:
      return undefined;
  }
}

function whenReady(job: RayJob, observed: Observed): JobEvent | undefined {
  if (!isClusterReady(observed.cluster)) return undefined;
  const { ray, submitter } = observed;
  switch (job.spec.submissionMode) {
    case 'InteractiveMode':
      return { name: 'await' };
    case 'SidecarMode':
      return { name: 'submit' };
    case 'HTTPMode':
      if (ray.kind === 'refused') return failure(job, 'SubmissionFailed', ray.message);
      return ray.kind === 'job' ? { name: 'submit' } : undefined;
    default:
      return submitter ? { name: 'submit' } : undefined;
  }
}

function endOf(job: RayJob, { ray }: Observed): JobEvent | undefined {
  if (ray.kind !== 'job' || !hasEnded(ray.status)) return undefined;
  if (ray.status === 'SUCCEEDED') return { name: 'succeed', message: ray.message };
  if (ray.status === 'STOPPED') return { name: 'stop', message: ray.message };
  return failure(job, 'AppFailed', ray.message);
}

/** Nothing is given up because of one answer that did not come, or one that says no. */
function loss(job: RayJob, observed: Observed, patience: Patience): JobEvent | undefined {
  const { ray, cluster } = observed;
  if (!cluster || cluster.metadata.deletionTimestamp) {
    return failure(job, 'JobLost', `the RayCluster ${job.status?.rayClusterName} was deleted under the job`);
  }
  if (ray.kind === 'unreachable' && elapsedMs(job, 'reachable', observed) > patience.dashboardMs) {
    const message = `the head has not answered for ${patience.dashboardMs / 1000} s: ${ray.message}`;
    return failure(job, 'JobStatusCheckTimeoutExceeded', message);
  }
  if (ray.kind !== 'unknown') return undefined;
  const waitedMs = elapsedMs(job, 'submitted', observed);
  if (isTrue(job.status?.conditions, jobConditions.submitted) || waitedMs <= patience.lostMs) return undefined;
  if (job.status?.jobStatus) {
    return failure(job, 'JobLost', 'the head does not know the job any more: it restarted without its state');
  }
  const end = submitterEnd(observed);
  const mayCome = job.spec.submissionMode === 'K8sJobMode' && end === undefined;
  if (mayCome || job.spec.submissionMode === 'InteractiveMode') return undefined;
  return failure(
    job,
    'SubmissionFailed',
    `the submitter ended${end ? ` (${end})` : ''} and the head knows no such job`,
  );
}

/** How long ago the condition became False; 0 while it is not. */
function elapsedMs(job: RayJob, type: keyof typeof jobConditions, { nowMs }: Observed): number {
  const condition = job.status?.conditions?.find(each => each.type === jobConditions[type]);
  return condition?.status === 'False' ? nowMs - Date.parse(condition.lastTransitionTime) : 0;
}

function failure(job: RayJob, reason: string, message: string): JobEvent {
  const hasMore = (job.status?.failed ?? 0) < job.spec.backoffLimit;
  return { name: hasMore ? 'retry' : 'fail', reason, message };
}

const isStill = ({ ray, cluster }: Observed) =>
  !isHeadReady(cluster) || ray.kind === 'unknown' || (ray.kind === 'job' && hasEnded(ray.status));

function isAtRest(job: RayJob, observed: Observed, patience: Patience): boolean {
  const { cluster, submitter, oldSubmitter } = observed;
  if (submitter || oldSubmitter) return false;
  if (!cluster) return true;
  if (!keepsHead(job)) return false;
  const groups = cluster.spec.workerGroupSpecs ?? [];
  const isGivenUp = observed.ray.kind === 'unreachable' && elapsedMs(job, 'reachable', observed) > patience.lostMs;
  return (groups.length === 0 || hasSuspendedGroups(cluster)) && (isStill(observed) || isGivenUp);
}

function isCleared(job: RayJob, observed: Observed): boolean {
  if (observed.submitter || observed.oldSubmitter) return false;
  if (!ownsCluster(job)) return isStill(observed);
  return observed.cluster === undefined || canReuseCluster(job, observed);
}
