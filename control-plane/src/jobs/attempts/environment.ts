/** What an attempt finds in its environment. Pure. */
import { join } from 'node:path';
import { type JobId, type RayJobSubmission, retryPolicyOf, type TenantId } from '@iocloud/contracts';

/** Read by Ray's job supervisor (ray.dashboard.modules.job.job_supervisor): seconds from SIGTERM to SIGKILL. */
const rayStopWait = 'RAY_JOB_STOP_WAIT_TIME_S';

export const isUrl = (root: string) => /^[a-z][a-z0-9+.-]*:\/\//i.test(root);

/** Where a job keeps its checkpoints: the same for all its attempts, and below its tenant's own directory. */
export function checkpointDir(root: string, tenantId: TenantId, jobId: JobId): string {
  return isUrl(root) ? `${root.replace(/\/+$/, '')}/${tenantId}/${jobId}` : join(root, tenantId, jobId);
}

interface Attempted {
  id: JobId;
  tenant_id: TenantId;
  submission_id: string;
  submission: RayJobSubmission;
  array_size: number | null;
  array_index: number | null;
}

/** The submission with the attempt's variables in its runtime environment, where tasks and actors find them too. */
export function withEnvironment(job: Attempted, number: number, checkpointRoot: string): RayJobSubmission {
  const { submission, array_index: index, array_size: size } = job;
  const own = submission.runtime_env?.env_vars as Record<string, string> | undefined;
  return {
    ...submission,
    runtime_env: {
      ...submission.runtime_env,
      env_vars: {
        [rayStopWait]: String(retryPolicyOf(submission.metadata).graceSeconds),
        ...own,
        IOCLOUD_CHECKPOINT_DIR: checkpointDir(checkpointRoot, job.tenant_id, job.id),
        IOCLOUD_ATTEMPT: String(number),
        IOCLOUD_SUBMISSION_ID: job.submission_id,
        ...(index === null ? {} : { IOCLOUD_ARRAY_INDEX: String(index), IOCLOUD_ARRAY_SIZE: String(size) }),
      },
    },
  };
}
