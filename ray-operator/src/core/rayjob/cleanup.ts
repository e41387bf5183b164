/** What is deleted after a RayJob has finished, and when. */
import type { DeletionPolicy } from '../../api/rayjob.js';
import type { RayJob } from '../kubernetes-objects.js';
import { stateOf } from './observation.js';
import { isFinished } from './states.js';

interface Planned {
  policy: DeletionPolicy;
  atMs: number;
}

/** The one with the greatest effect comes last. */
const byEffect: DeletionPolicy[] = ['DeleteNone', 'DeleteWorkers', 'DeleteCluster', 'DeleteSelf'];

export function plannedCleanup(job: RayJob): Planned[] {
  const { spec, status } = job;
  if (!isFinished(stateOf(job)) || !status?.endTime) return [];
  const endMs = Date.parse(status.endTime);
  const rules = spec.deletionStrategy?.deletionRules;
  if (rules) {
    return rules
      .filter(({ condition: { jobStatus, jobDeploymentStatus } }) =>
        jobStatus ? jobStatus === status.jobStatus : jobDeploymentStatus === status.jobDeploymentStatus,
      )
      .map(({ policy, condition }) => ({ policy, atMs: endMs + condition.ttlSeconds * 1000 }));
  }
  const succeeded = status.jobDeploymentStatus === 'Complete' && status.jobStatus === 'SUCCEEDED';
  const strategy = spec.deletionStrategy?.[succeeded ? 'onSuccess' : 'onFailure']?.policy;
  const policy = strategy ?? spec.deletionPolicy ?? (spec.shutdownAfterJobFinishes ? 'DeleteCluster' : undefined);
  return policy ? [{ policy, atMs: endMs + spec.ttlSecondsAfterFinished * 1000 }] : [];
}

/** Of several that are due, as after a time without an operator, the one with the greatest effect. */
export function dueCleanup(job: RayJob, nowMs: number): DeletionPolicy | undefined {
  const due = plannedCleanup(job).filter(({ atMs }) => atMs <= nowMs);
  return due.map(({ policy }) => policy).sort((a, b) => byEffect.indexOf(b) - byEffect.indexOf(a))[0];
}
