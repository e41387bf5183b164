/** `ray.io/v1` RayService, with the fields that KubeRay documents. */
import { z } from 'zod';
import { conditions, count, managedBy, passedThrough, rayClusterSpec, rayClusterStatus, time } from './raycluster.js';

const spec = z.object({
  serveConfigV2: z.string().optional().describe('YAML: the Serve applications.'),
  rayClusterConfig: rayClusterSpec,
  upgradeStrategy: z.object({ type: z.enum(['NewCluster', 'None']).optional() }).optional(),
  rayClusterDeletionDelaySeconds: count().optional().describe('How long a cluster outlives its replacement; 60.'),
  serveService: passedThrough().optional().describe('A Service whose metadata and spec the serve service takes over.'),
  excludeHeadPodFromServeSvc: z.boolean().optional(),
  serviceUnhealthySecondThreshold: count().optional().describe('Accepted and not used, as in KubeRay.'),
  deploymentUnhealthySecondThreshold: count().optional().describe('Accepted and not used, as in KubeRay.'),
  suspend: z.boolean().optional(),
  managedBy: managedBy(),
});

const health = { status: z.string().optional(), message: z.string().optional() };

const application = z.object({
  ...health,
  serveDeploymentStatuses: z.record(z.string(), z.object(health)).optional(),
});

const clusterStatus = z.object({
  rayClusterName: z.string().optional(),
  applicationStatuses: z.record(z.string(), application).optional(),
  rayClusterStatus: rayClusterStatus.optional(),
});

const status = z.object({
  serviceStatus: z.string().optional(),
  activeServiceStatus: clusterStatus.optional(),
  pendingServiceStatus: clusterStatus.optional(),
  numServeEndpoints: count().optional(),
  conditions: conditions(),
  observedGeneration: z.int().optional(),
  lastUpdateTime: time().optional(),
});

export const rayServiceSchema = z.object({ spec, status: status.optional() });

export type RayServiceSpec = z.infer<typeof spec>;
export type RayServiceStatus = z.infer<typeof status>;
export type ServedClusterStatus = z.infer<typeof clusterStatus>;
