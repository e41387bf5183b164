/** What Ray's API says of a job, rendered from our record of it. Pure. */
import type { JobPhase, RayJobDetails, RayJobStatus } from '@iocloud/contracts';

/** What only a Ray head knows of a job. */
export type RayFacts = Pick<
  RayJobDetails,
  'job_id' | 'driver_info' | 'driver_agent_http_address' | 'driver_node_id' | 'driver_exit_code'
>;

export function factsOf(details: RayJobDetails): RayFacts {
  return {
    job_id: details.job_id,
    driver_info: details.driver_info,
    driver_agent_http_address: details.driver_agent_http_address,
    driver_node_id: details.driver_node_id,
    driver_exit_code: details.driver_exit_code,
  };
}

export interface ViewedJob {
  submissionId: string;
  phase: JobPhase;
  /** It has been seen to run: while it is being stopped Ray goes on saying RUNNING. */
  started: boolean;
  entrypoint: string;
  message: string;
  errorType: string | null;
  metadata: Record<string, string> | null;
  runtimeEnv: Record<string, unknown> | null;
  submittedAt: Date;
  endedAt: Date | null;
  facts: RayFacts | null;
}

const statusOfPhase: Record<JobPhase, RayJobStatus> = {
  queued: 'PENDING',
  assigned: 'PENDING',
  running: 'RUNNING',
  stopping: 'RUNNING',
  succeeded: 'SUCCEEDED',
  failed: 'FAILED',
  stopped: 'STOPPED',
};

export function rayStatus(phase: JobPhase, started: boolean): RayJobStatus {
  return phase === 'stopping' && !started ? 'PENDING' : statusOfPhase[phase];
}

/** The keys come in the order in which a head sends them (pydantic_models.JobDetails). */
export function rayDetails(job: ViewedJob): RayJobDetails {
  return {
    type: 'SUBMISSION',
    job_id: job.facts?.job_id ?? null,
    submission_id: job.submissionId,
    driver_info: job.facts?.driver_info ?? null,
    status: rayStatus(job.phase, job.started),
    entrypoint: job.entrypoint,
    message: job.message,
    error_type: job.errorType,
    // A head, too, counts from the submission.
    start_time: job.submittedAt.getTime(),
    end_time: job.endedAt?.getTime() ?? null,
    metadata: job.metadata,
    runtime_env: job.runtimeEnv,
    driver_agent_http_address: job.facts?.driver_agent_http_address ?? null,
    driver_node_id: job.facts?.driver_node_id ?? null,
    driver_exit_code: job.facts?.driver_exit_code ?? null,
  };
}

export function renderRayView(job: ViewedJob): string {
  return JSON.stringify(rayDetails(job));
}
