/** Jobs as Ray's clients and as this control plane see them. */
import { z } from 'zod';
import { attemptId, clusterId } from './ids.js';
import { scheduling } from './requirements.js';

/** Ray's own five statuses (ray.job_submission.JobStatus). */
export const rayJobStatus = z
  .enum(['PENDING', 'RUNNING', 'STOPPED', 'SUCCEEDED', 'FAILED'])
  .meta({ id: 'RayJobStatus' });
export type RayJobStatus = z.infer<typeof rayJobStatus>;

export const jobPhase = z
  .enum(['queued', 'assigned', 'running', 'stopping', 'succeeded', 'failed', 'stopped'])
  .meta({ id: 'JobPhase' });
export type JobPhase = z.infer<typeof jobPhase>;

/** Body of POST /api/jobs/, as Ray's client sends it (ray.dashboard.modules.job.common.JobSubmitRequest). */
export const rayJobSubmission = z
  .object({
    entrypoint: z.string(),
    submission_id: z.string().nullish(),
    job_id: z.string().nullish().describe('deprecated alias of submission_id'),
    runtime_env: z.record(z.string(), z.unknown()).nullish(),
    metadata: z.record(z.string(), z.string()).nullish(),
    entrypoint_num_cpus: z.number().min(0).nullish(),
    entrypoint_num_gpus: z.number().min(0).nullish(),
    entrypoint_memory: z.int().min(0).nullish().describe('bytes'),
    entrypoint_resources: z.record(z.string(), z.number()).nullish(),
    entrypoint_label_selector: z.record(z.string(), z.string()).nullish(),
  })
  .meta({ id: 'RayJobSubmission' });
export type RayJobSubmission = z.infer<typeof rayJobSubmission>;

/** One entry of GET /api/jobs/ (ray.dashboard.modules.job.pydantic_models.JobDetails). Times are ms since the epoch. */
export const rayJobDetails = z
  .object({
    type: z.enum(['SUBMISSION', 'DRIVER']),
    job_id: z.string().nullable(),
    submission_id: z.string().nullable(),
    driver_info: z.object({ id: z.string(), node_ip_address: z.string(), pid: z.string() }).nullable(),
    status: rayJobStatus,
    entrypoint: z.string(),
    message: z.string().nullable(),
    error_type: z.string().nullable(),
    start_time: z.int().nullable(),
    end_time: z.int().nullable(),
    metadata: z.record(z.string(), z.string()).nullable(),
    runtime_env: z.record(z.string(), z.unknown()).nullable(),
    driver_agent_http_address: z.string().nullable(),
    driver_node_id: z.string().nullable(),
    driver_exit_code: z.int().nullable(),
  })
  .meta({ id: 'RayJobDetails' });
export type RayJobDetails = z.infer<typeof rayJobDetails>;

export const attemptPhase = z.enum(['assigned', 'submitted', 'running', 'ended']).meta({ id: 'AttemptPhase' });
export type AttemptPhase = z.infer<typeof attemptPhase>;

export const attempt = z
  .object({
    id: attemptId,
    number: z.int().min(1),
    clusterId,
    phase: attemptPhase,
    outcome: z
      .enum(['succeeded', 'failed', 'stopped', 'lost', 'evicted'])
      .nullable()
      .describe('lost: through a failure of the infrastructure; evicted: moved away, which counts as no attempt'),
    message: z.string().nullable(),
    startedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
    logBytes: z.int().describe('bytes of log kept'),
  })
  .meta({ id: 'Attempt' });
export type Attempt = z.infer<typeof attempt>;

/** Indices of an array job by what has become of them. */
export const arrayCounts = z
  .object({ waiting: z.int(), running: z.int(), succeeded: z.int(), failed: z.int(), stopped: z.int() })
  .meta({ id: 'ArrayCounts' });
export type ArrayCounts = z.infer<typeof arrayCounts>;

export const job = z
  .object({
    submissionId: z.string(),
    phase: jobPhase,
    status: rayJobStatus,
    entrypoint: z.string(),
    message: z.string().nullable(),
    metadata: z.record(z.string(), z.string()),
    clusterId: clusterId.nullable().describe('where it runs or ran last'),
    attempts: z.array(attempt),
    array: z
      .object({ size: z.int(), maxParallel: z.int().nullable(), counts: arrayCounts })
      .nullable()
      .describe('of an array job, which runs as its indices: `GET /v1/jobs?array=` lists them'),
    arrayIndex: z
      .int()
      .nullable()
      .describe('of an index of an array job, which is called as its array with this appended'),
    scheduling,
    spentMicroUsd: z
      .int()
      .describe('what its attempts that have ended have cost at the prices of their machines, micro-USD'),
    retryAt: z.iso.datetime().nullable().describe('a queued job that has run before starts no sooner; null: at once'),
    submittedAt: z.iso.datetime(),
    startedAt: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Job' });
export type Job = z.infer<typeof job>;

/** Changes of a queued job's `io.*` metadata; null takes a key back. What is not named stays. */
export const changeJob = z
  .strictObject({
    metadata: z
      .record(z.string(), z.string().nullable())
      .refine(changes => Object.keys(changes).every(key => key.startsWith('io.')), {
        error: 'only keys that start with "io." can be changed',
      })
      .refine(changes => Object.keys(changes).length > 0, 'names nothing to change'),
  })
  .meta({ id: 'ChangeJob' });

export const rateJob = z
  .strictObject({
    stars: z.int().min(1).max(5).describe('how the machine did: 5 is best'),
    comment: z.string().max(2_000).default(''),
  })
  .meta({ id: 'RateJob' });
