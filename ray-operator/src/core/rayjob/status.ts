/** The status of a RayJob: after an event, and as it follows what is seen between two events. */
import type { RayJobStatus } from '../../api/rayjob.js';
import { type Finding, withFindings } from '../conditions.js';
import type { RayJob } from '../kubernetes-objects.js';
import { headServiceName } from '../names.js';
import { dashboardPort } from '../services.js';
import { rfc3339 } from '../time.js';
import { type JobEvent, jobConditions } from './decide.js';
import { canReuseCluster, keepsHead, type Observed, ownsCluster, stateOf } from './observation.js';
import { after } from './states.js';

/** Names are chosen here and written down before anything is made under them: nothing is ever made twice. */
export function afterEvent(job: RayJob, event: JobEvent, observed: Observed, newSuffix: () => string): RayJobStatus {
  const previous = job.status ?? {};
  const now = rfc3339(observed.nowMs);
  const counts = { succeeded: previous.succeeded ?? 0, failed: previous.failed ?? 0 };
  const generation = job.metadata.generation ?? 0;
  const base: RayJobStatus = { ...previous, ...counts, observedGeneration: generation };
  base.jobDeploymentStatus = after(stateOf(job), event.name);
  switch (event.name) {
    case 'begin':
      return begun(job, base, observed, now, newSuffix);
    case 'submit':
      return job.spec.submissionMode === 'InteractiveMode'
        ? { ...base, ...(job.spec.jobId ? { jobId: job.spec.jobId } : {}) }
        : base;
    case 'succeed':
    case 'stop': {
      if (event.name === 'succeed') base.succeeded = counts.succeeded + 1;
      return { ...withRay(base, observed), ...told(event), endTime: now };
    }
    case 'fail':
      return { ...withRay(base, observed), ...told(event), endTime: now, failed: counts.failed + 1 };
    case 'retry':
      return { ...withRay(base, observed), ...told(event), failed: counts.failed + 1 };
    case 'refuse':
      return { ...base, ...told(event) };
    case 'rest':
      return fresh(base, keepsHead(job) && observed.cluster !== undefined);
    case 'again':
      return fresh(base, ownsCluster(job) && canReuseCluster(job, observed));
    case 'mend':
      return fresh(base, false);
    default:
      return base;
  }
}

const told = ({ reason, message }: JobEvent) => ({ ...(reason ? { reason } : {}), ...(message ? { message } : {}) });

function begun(
  job: RayJob,
  base: RayJobStatus,
  observed: Observed,
  now: string,
  newSuffix: () => string,
): RayJobStatus {
  const { name } = job.metadata;
  const kept = base.rayClusterName;
  const cluster = ownsCluster(job) ? (kept ?? `${name}-${newSuffix()}`) : observed.selected?.metadata.name;
  // On a cluster that has seen an attempt before, the id that the user chose is taken.
  const isUsed = kept !== undefined || (!ownsCluster(job) && (base.failed ?? 0) > 0);
  const chosen = isUsed && job.spec.jobId ? `${job.spec.jobId}-${newSuffix()}` : job.spec.jobId;
  const jobId = job.spec.submissionMode === 'InteractiveMode' ? '' : (chosen ?? `${name}-${newSuffix()}`);
  return { ...base, ...(cluster ? { rayClusterName: cluster } : {}), ...(jobId ? { jobId } : {}), startTime: now };
}

/** Of an attempt that begins anew. */
function fresh(base: RayJobStatus, keepsCluster: boolean): RayJobStatus {
  const { jobDeploymentStatus, observedGeneration, succeeded, failed, rayClusterName } = base;
  return {
    jobDeploymentStatus: jobDeploymentStatus ?? '',
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
    ...(succeeded === undefined ? {} : { succeeded }),
    ...(failed === undefined ? {} : { failed }),
    ...(keepsCluster && rayClusterName ? { rayClusterName } : {}),
  };
}

function withRay(base: RayJobStatus, { ray }: Observed): RayJobStatus {
  if (ray.kind !== 'job') return base;
  const info = {
    ...(ray.startTimeMs ? { startTime: rfc3339(ray.startTimeMs) } : {}),
    ...(ray.endTimeMs ? { endTime: rfc3339(ray.endTimeMs) } : {}),
  };
  return { ...base, jobStatus: ray.status, rayJobInfo: info };
}

/** What is seen without anything having happened. */
export function refreshed(job: RayJob, observed: Observed): RayJobStatus {
  const previous = job.status ?? {};
  const { cluster } = observed;
  const generation = job.metadata.generation ?? 0;
  const status: RayJobStatus = { ...withRay(previous, observed), observedGeneration: generation };
  if (cluster) {
    const { name, namespace } = cluster.metadata;
    status.dashboardURL = `${headServiceName(name)}.${namespace}.svc.cluster.local:${dashboardPort(cluster)}`;
    if (cluster.status) {
      const { lastUpdateTime, ...kept } = cluster.status;
      status.rayClusterStatus = kept;
    }
  }
  const found = findings(observed);
  if (found.length > 0) {
    status.conditions = withFindings(previous.conditions ?? [], found, generation, rfc3339(observed.nowMs));
  }
  return status;
}

function findings({ ray }: Observed): Finding[] {
  const finding = (type: keyof typeof jobConditions, is: boolean, reason: string, message = ''): Finding => ({
    type: jobConditions[type],
    status: is ? 'True' : 'False',
    reason,
    message,
  });
  switch (ray.kind) {
    case 'unasked':
      return [];
    case 'unreachable':
      return [finding('reachable', false, 'NoAnswer', ray.message)];
    case 'unknown':
      return [
        finding('reachable', true, 'Answers'),
        finding('submitted', false, 'NotKnown', 'the head knows no such job'),
      ];
    case 'refused':
      return [finding('reachable', true, 'Answers'), finding('submitted', false, 'Refused', ray.message)];
    default:
      return [finding('reachable', true, 'Answers'), finding('submitted', true, 'Known')];
  }
}
