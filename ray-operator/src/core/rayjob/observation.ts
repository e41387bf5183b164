/** What the operator can see of a RayJob's surroundings, and what follows from that alone. */
import { isTrue } from '../conditions.js';
import type { Job, RayCluster, RayJob } from '../kubernetes-objects.js';
import { annotations } from '../names.js';
import { conditionTypes } from '../status.js';
import { isActive, type State } from './states.js';

/** What the head's Jobs API says of the attempt's submission. */
export type RayAnswer =
  | { kind: 'unasked' }
  /** The head answers and knows no such job. */
  | { kind: 'unknown' }
  | { kind: 'unreachable'; message: string }
  /** It will not take this submission, however often it is sent. */
  | { kind: 'refused'; message: string }
  | { kind: 'job'; status: RayJobStatusName; message: string; startTimeMs?: number; endTimeMs?: number };

export type RayJobStatusName = 'PENDING' | 'RUNNING' | 'STOPPED' | 'SUCCEEDED' | 'FAILED';

export interface Observed {
  nowMs: number;
  problems: string[];
  /** The one that the status names. */
  cluster: RayCluster | undefined;
  /** Of a job with a selector that has none yet: the one that it selects now. */
  selected: RayCluster | undefined;
  /** Of this attempt. */
  submitter: Job | undefined;
  /** Of an attempt before. */
  oldSubmitter: Job | undefined;
  ray: RayAnswer;
}

export const stateOf = (job: RayJob): State => job.status?.jobDeploymentStatus ?? '';
export const ownsCluster = ({ spec }: RayJob) => spec.clusterSelector === undefined;
export const hasEnded = (status: string | undefined) =>
  status === 'STOPPED' || status === 'SUCCEEDED' || status === 'FAILED';

const isSet = (job: RayJob, name: string) => job.metadata.annotations?.[name] === 'true';
/** A head with a submitter beside it submits once, when it starts: it serves no second attempt. */
const isSidecar = ({ spec }: RayJob) => spec.submissionMode === 'SidecarMode';
export const keepsHead = (job: RayJob) => isSet(job, annotations.suspendKeepsHead) && !isSidecar(job);

export const isHeadReady = (cluster: RayCluster | undefined) =>
  cluster !== undefined &&
  cluster.metadata.deletionTimestamp === undefined &&
  isTrue(cluster.status?.conditions, conditionTypes.headReady);

export const hasSuspendedGroups = ({ spec }: RayCluster) =>
  (spec.workerGroupSpecs ?? []).some(({ suspend }) => suspend === true);

/** All pods were up once, and the head is now; workers that were lost since come back by themselves. */
export const isClusterReady = (cluster: RayCluster | undefined): cluster is RayCluster =>
  isHeadReady(cluster) && cluster?.status?.state === 'ready' && !hasSuspendedGroups(cluster);

/** Whether what failed left a cluster behind that the next attempt may have, where its user wants that. */
export function canReuseCluster(job: RayJob, { cluster }: Observed): boolean {
  if (!isSet(job, annotations.retryReusesCluster) || isSidecar(job)) return false;
  if (job.status?.reason !== 'AppFailed') return false;
  const { readyWorkerReplicas = 0, desiredWorkerReplicas = 0 } = cluster?.status ?? {};
  return isClusterReady(cluster) && readyWorkerReplicas >= desiredWorkerReplicas;
}

export function submitterEnd({ submitter }: Observed): 'failed' | 'complete' | undefined {
  const holds = (type: string) =>
    submitter?.status?.conditions?.some(each => each.type === type && each.status === 'True');
  if (holds('Failed')) return 'failed';
  return holds('Complete') ? 'complete' : undefined;
}

/** Whether the head is to be asked for the attempt's job. */
export function asksRay(job: RayJob, cluster: RayCluster | undefined): boolean {
  const { jobId, jobStatus } = job.status ?? {};
  if (!jobId || !cluster || cluster.metadata.deletionTimestamp) return false;
  if (job.metadata.deletionTimestamp) return !hasEnded(jobStatus);
  const state = stateOf(job);
  if (state === 'Initializing') return job.spec.submissionMode === 'HTTPMode' && isClusterReady(cluster);
  if (state === 'Running' || state === 'Suspending' || state === 'Retrying') return true;
  // Of a job that was given up, until it is seen to have ended.
  return state === 'Failed' && !hasEnded(jobStatus);
}

export const deadlineMs = (job: RayJob): { atMs: number; reason: string; message: string } | undefined => {
  const { startTime } = job.status ?? {};
  const state = stateOf(job);
  if (!startTime || !isActive(state)) return undefined;
  const { activeDeadlineSeconds: active, preRunningDeadlineSeconds: before } = job.spec;
  const since = Date.parse(startTime);
  const all = [
    ...(before !== undefined && state !== 'Running'
      ? [
          {
            atMs: since + before * 1000,
            reason: 'PreRunningDeadlineExceeded',
            message: `the job did not come to run within preRunningDeadlineSeconds (${before})`,
          },
        ]
      : []),
    ...(active !== undefined
      ? [
          {
            atMs: since + active * 1000,
            reason: 'DeadlineExceeded',
            message: `the job did not end within activeDeadlineSeconds (${active})`,
          },
        ]
      : []),
  ];
  return all.sort((a, b) => a.atMs - b.atMs)[0];
};

/** A job on a cluster that stays is stopped before its RayJob goes; a head that does not answer holds that up so long. */
const releaseMs = 60_000;

export function mayRelease(job: RayJob, { cluster, ray, nowMs }: Observed): boolean {
  if (ownsCluster(job) || !cluster || ray.kind === 'unasked' || ray.kind === 'unknown') return true;
  if (ray.kind === 'job' && hasEnded(ray.status)) return true;
  return nowMs > Date.parse(job.metadata.deletionTimestamp ?? '') + releaseMs;
}
