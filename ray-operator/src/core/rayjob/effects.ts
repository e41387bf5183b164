/** What a RayJob's state wants done: each can be done again and again, and is until it is seen to be done. */
import type { DeletionPolicy } from '../../api/rayjob.js';
import type { Manifest, RayCluster, RayJob } from '../kubernetes-objects.js';
import { finalizer } from '../names.js';
import { dueCleanup } from './cleanup.js';
import { clusterOf, submitterJob } from './manifests.js';
import {
  canReuseCluster,
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

export type Effect =
  | { do: 'hold' }
  | { do: 'create'; manifest: Manifest }
  | { do: 'submit'; cluster: RayCluster }
  | { do: 'stop'; cluster: RayCluster; jobId: string }
  | { do: 'deleteCluster'; cluster: RayCluster }
  | { do: 'deleteSubmitter'; name: string; uid: string }
  | { do: 'suspendWorkers'; cluster: RayCluster; suspend: boolean }
  | { do: 'deleteSelf' };

/** A submitter still hands the last lines of the log on when the job has ended: so long a cluster waits for it. */
const submitterGraceMs = 60_000;

export function effectsOf(job: RayJob, observed: Observed, runtimeEnv: unknown): Effect[] {
  const effects = inState(job, observed, runtimeEnv);
  const { oldSubmitter } = observed;
  if (oldSubmitter && !oldSubmitter.metadata.deletionTimestamp) effects.push(deletion(oldSubmitter));
  return effects;
}

function inState(job: RayJob, observed: Observed, runtimeEnv: unknown): Effect[] {
  const { cluster, submitter, ray, oldSubmitter } = observed;
  const isK8sJob = job.spec.submissionMode === 'K8sJobMode';
  switch (stateOf(job)) {
    case 'Initializing': {
      if (!job.metadata.finalizers?.includes(finalizer)) return [{ do: 'hold' }];
      if (!cluster) return ownsCluster(job) ? [{ do: 'create', manifest: clusterOf(job, runtimeEnv) }] : [];
      if (ownsCluster(job) && hasSuspendedGroups(cluster)) return [{ do: 'suspendWorkers', cluster, suspend: false }];
      if (!isClusterReady(cluster)) return [];
      if (isK8sJob && !submitter && !oldSubmitter) {
        return [{ do: 'create', manifest: submitterJob(job, cluster, runtimeEnv) }];
      }
      return job.spec.submissionMode === 'HTTPMode' && ray.kind === 'unknown' ? [{ do: 'submit', cluster }] : [];
    }
    case 'Running':
      // The submitter is gone before it has done its work: another one takes it up, under the same id.
      return isK8sJob && cluster && !submitter && !oldSubmitter && ray.kind === 'unknown' && !job.status?.jobStatus
        ? [{ do: 'create', manifest: submitterJob(job, cluster, runtimeEnv) }]
        : [];
    case 'Suspending':
      return [...withdrawn(job, observed), ...(keepsHead(job) ? resting(cluster) : clusterDeletion(job, cluster))];
    case 'Retrying':
      return [...withdrawn(job, observed), ...(canReuseCluster(job, observed) ? [] : clusterDeletion(job, cluster))];
    case 'Complete':
    case 'Failed':
      return [...stops(job, observed), ...cleanup(job, observed)];
    default:
      return [];
  }
}

const deletion = ({ metadata }: { metadata: { name: string; uid: string } }): Effect => ({
  do: 'deleteSubmitter',
  name: metadata.name,
  uid: metadata.uid,
});

function stops(job: RayJob, { cluster, ray }: Observed): Effect[] {
  const jobId = job.status?.jobId;
  const runs = ray.kind === 'job' && !hasEnded(ray.status);
  return cluster && jobId && runs && isHeadReady(cluster) ? [{ do: 'stop', cluster, jobId }] : [];
}

function withdrawn(job: RayJob, observed: Observed): Effect[] {
  const { submitter } = observed;
  return [
    ...stops(job, observed),
    ...(submitter && !submitter.metadata.deletionTimestamp ? [deletion(submitter)] : []),
  ];
}

function resting(cluster: RayCluster | undefined): Effect[] {
  const isDone = !cluster?.spec.workerGroupSpecs?.length || hasSuspendedGroups(cluster);
  return isDone ? [] : [{ do: 'suspendWorkers', cluster, suspend: true }];
}

function clusterDeletion(job: RayJob, cluster: RayCluster | undefined): Effect[] {
  return cluster && ownsCluster(job) && !cluster.metadata.deletionTimestamp ? [{ do: 'deleteCluster', cluster }] : [];
}

function cleanup(job: RayJob, observed: Observed): Effect[] {
  const { cluster, submitter, nowMs } = observed;
  const due = dueCleanup(job, nowMs);
  const isReading = submitter !== undefined && submitterEnd(observed) === undefined;
  if (isReading && nowMs < Date.parse(job.status?.endTime ?? '') + submitterGraceMs) return [];
  const effects: Record<DeletionPolicy, () => Effect[]> = {
    DeleteNone: () => [],
    DeleteWorkers: () => (ownsCluster(job) ? resting(cluster) : []),
    DeleteCluster: () => clusterDeletion(job, cluster),
    DeleteSelf: () => [{ do: 'deleteSelf' }],
  };
  return due ? effects[due]() : [];
}
