/** `ray.io/v1` RayJob, with the fields that KubeRay documents. */
import { z } from 'zod';
import {
  conditions,
  count,
  managedBy,
  podTemplate,
  rayClusterSpec,
  rayClusterStatus,
  strings,
  time,
} from './raycluster.js';

export const submissionModes = ['K8sJobMode', 'HTTPMode', 'SidecarMode', 'InteractiveMode'] as const;

const policy = z.enum(['DeleteCluster', 'DeleteWorkers', 'DeleteSelf', 'DeleteNone']);
const seconds = count;

const deletionRule = z.object({
  policy,
  condition: z
    .object({
      jobStatus: z.enum(['SUCCEEDED', 'FAILED', 'STOPPED']).optional(),
      jobDeploymentStatus: z.enum(['Complete', 'Failed']).optional(),
      ttlSeconds: seconds().default(0),
    })
    .describe('Exactly one of jobStatus and jobDeploymentStatus.'),
});

const spec = z.object({
  entrypoint: z.string().optional().describe('The command that Ray runs.'),
  runtimeEnvYAML: z.string().optional(),
  metadata: strings().optional(),
  jobId: z.string().optional().describe('The submission id; default: one is made for each attempt.'),
  entrypointNumCpus: z.number().min(0).optional(),
  entrypointNumGpus: z.number().min(0).optional(),
  entrypointResources: z.string().optional().describe('JSON: custom resources of the entrypoint, by name.'),
  submissionMode: z.enum(submissionModes).default('K8sJobMode'),
  submitterPodTemplate: podTemplate.optional(),
  submitterConfig: z.object({ backoffLimit: count().optional() }).optional(),
  rayClusterSpec: rayClusterSpec.optional(),
  clusterSelector: strings().optional().describe('Labels of a RayCluster that is there already.'),
  backoffLimit: count().default(0).describe('So many attempts more after the first has failed.'),
  activeDeadlineSeconds: z.int().min(1).optional().describe('From startTime, for each attempt.'),
  preRunningDeadlineSeconds: z.int().min(1).optional(),
  ttlSecondsAfterFinished: seconds().default(0),
  shutdownAfterJobFinishes: z.boolean().optional(),
  deletionPolicy: policy.optional(),
  deletionStrategy: z
    .object({
      onSuccess: z.object({ policy }).optional(),
      onFailure: z.object({ policy }).optional(),
      deletionRules: z.array(deletionRule).min(1).optional(),
    })
    .optional(),
  suspend: z.boolean().optional(),
  managedBy: managedBy(),
});

const status = z.object({
  jobId: z.string().optional(),
  jobStatus: z.enum(['', 'PENDING', 'RUNNING', 'STOPPED', 'SUCCEEDED', 'FAILED']).optional(),
  jobDeploymentStatus: z
    .enum([
      '',
      'Initializing',
      'Waiting',
      'Running',
      'Complete',
      'Failed',
      'ValidationFailed',
      'Suspending',
      'Suspended',
      'Retrying',
    ])
    .optional(),
  rayClusterName: z.string().optional(),
  dashboardURL: z.string().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  startTime: time().optional(),
  endTime: time().optional(),
  succeeded: count().optional(),
  failed: count().optional(),
  rayJobInfo: z.object({ startTime: time().optional(), endTime: time().optional() }).optional(),
  rayClusterStatus: rayClusterStatus.optional(),
  conditions: conditions(),
  observedGeneration: z.int().optional(),
});

export const rayJobSchema = z.object({ spec, status: status.optional() });

export type RayJobSpec = z.infer<typeof spec>;
export type RayJobStatus = z.infer<typeof status>;
export type DeletionPolicy = z.infer<typeof policy>;
