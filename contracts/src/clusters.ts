import { z } from 'zod';
import { clusterId, leaseId, megaClusterId, nodeId } from './ids.js';
import { clusterLoad } from './load.js';
import { meshPath } from './mesh.js';
import { microUsd, priorityClass, requirements } from './requirements.js';
import { dnsLabel, nodeResources } from './resources.js';

export const rayVersion = z.string().regex(/^\d+\.\d+\.\d+$/, 'a Ray release such as 2.60.0');

export const workerGroup = nodeResources
  .extend({
    name: dnsLabel,
    count: z.int().min(0).max(10_000).describe('Ray worker nodes wanted in this group'),
    minCount: z.int().min(0).max(10_000).optional().describe('lower bound of an autoscaled group; 0 when absent'),
    maxCount: z
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe('upper bound: the group grows and shrinks with what waits on the cluster. Absent: count stays'),
    idleTimeoutSeconds: z
      .int()
      .min(1)
      .max(86_400)
      .optional()
      .describe('an autoscaled worker goes after Ray has called it idle for so long; 60 when absent'),
  })
  .refine(group => group.maxCount !== undefined || (group.minCount ?? group.idleTimeoutSeconds) === undefined, {
    message: 'minCount and idleTimeoutSeconds need a maxCount: without one the group is not autoscaled',
    path: ['maxCount'],
  })
  .refine(group => group.maxCount === undefined || (group.minCount ?? 0) <= group.count, {
    message: 'must not be below minCount',
    path: ['count'],
  })
  .refine(group => group.maxCount === undefined || group.count <= group.maxCount, {
    message: 'must not be above maxCount',
    path: ['count'],
  })
  .meta({ id: 'WorkerGroup' });
export type WorkerGroup = z.infer<typeof workerGroup>;
export const defaultWorkerIdleSeconds = 60;

const limits = {
  budgetMicroUsd: microUsd
    .min(1)
    .nullable()
    .describe('it is stopped before it costs more, at the prices of its machines when it got them, micro-USD'),
  until: z.iso.datetime({ offset: true }).nullable().describe('it is stopped by then'),
  priority: priorityClass.describe('of clusters that wait for a machine: who gets it first'),
  preemptible: z
    .boolean()
    .describe('may be stopped for urgent jobs, other tenants’ too, once only preemptible jobs are left on it'),
};

export const clusterSpec = z
  .object({
    name: dnsLabel.describe('unique among the live clusters of the tenant'),
    type: z.enum(['ray']).default('ray'),
    rayVersion: rayVersion.optional().describe("the control plane's default when absent"),
    head: nodeResources.prefault({ cpus: 1 }),
    workerGroups: z
      .array(workerGroup)
      .max(64)
      .default([])
      .refine(groups => new Set(groups.map(group => group.name)).size === groups.length, 'group names must differ'),
    requirements: requirements
      .optional()
      .describe('of every machine that carries a part of it; any will do when absent'),
    waitForMachines: z
      .boolean()
      .default(false)
      .describe('true: take it even though no machine that is enrolled meets its requirements'),
    budgetMicroUsd: limits.budgetMicroUsd.default(null),
    until: limits.until.default(null),
    priority: limits.priority.default('normal'),
    preemptible: limits.preemptible.default(false),
    idleTimeoutSeconds: z
      .int()
      .min(0)
      .nullable()
      .default(null)
      .describe('delete the cluster after so long without a job, in seconds; null: never'),
  })
  .meta({ id: 'ClusterSpec' });
export type ClusterSpec = z.infer<typeof clusterSpec>;

export const clusterPhase = z
  .enum(['pending', 'provisioning', 'ready', 'stopping', 'stopped', 'deleting', 'deleted'])
  .meta({ id: 'ClusterPhase' });
export type ClusterPhase = z.infer<typeof clusterPhase>;

/** Kubernetes' condition: `status` says whether `type` holds, `reason` why in one CamelCase word. */
export const condition = z
  .object({
    type: z
      .enum(['Placed', 'HeadReady', 'WorkersReady', 'NetworkIsolated', 'Ending'])
      .describe('Ending: only where it holds: its budget or its time is over'),
    status: z.enum(['True', 'False', 'Unknown']),
    reason: z.string(),
    message: z.string(),
    lastTransitionTime: z.iso.datetime(),
    observedGeneration: z.int(),
  })
  .meta({ id: 'Condition' });
export type Condition = z.infer<typeof condition>;

export const leasePhase = z.enum(['pending', 'starting', 'ready', 'exited', 'lost']).meta({ id: 'LeasePhase' });
export type LeasePhase = z.infer<typeof leasePhase>;

export const clusterLease = z
  .object({
    id: leaseId,
    nodeId,
    role: z.enum(['head', 'worker']),
    group: z.string(),
    ordinal: z.int(),
    phase: leasePhase,
    message: z.string(),
    simulated: z.boolean().describe('true where any of its accelerators is simulated'),
  })
  .meta({ id: 'ClusterLease' });
export type ClusterLease = z.infer<typeof clusterLease>;

/** The WireGuard network of a cluster that stands on several machines. */
export const clusterNetwork = z
  .object({
    members: z.array(
      z.object({
        nodeId,
        addresses: z.string().describe('its part of the network, such as 100.64.2.0/24'),
        paths: z
          .array(z.object({ nodeId, path: meshPath }))
          .describe('how it reaches the others, as its agent last said'),
      }),
    ),
  })
  .meta({ id: 'ClusterNetwork' });
export type ClusterNetwork = z.infer<typeof clusterNetwork>;

export const cluster = z
  .object({
    id: clusterId,
    spec: clusterSpec.extend({ rayVersion }),
    origin: z.enum(['user', 'job']).describe('job: provisioned for a job that named no cluster'),
    megaClusterId: megaClusterId.nullable().describe('the Mega-Ray cluster that it is a cell of'),
    desired: z.enum(['running', 'stopped', 'deleted']),
    phase: clusterPhase,
    generation: z.int().describe('grows with every change of the spec or the desired state'),
    observedGeneration: z.int().describe('the generation that the status speaks of'),
    conditions: z.array(condition),
    leases: z.array(clusterLease),
    network: clusterNetwork.nullable().describe('null while all of it is on one machine'),
    load: clusterLoad
      .nullable()
      .describe('what its Ray reported last; null while it is not ready, or its head has not been heard for a while'),
    microUsdPerHour: microUsd.describe('what it costs now: all that it holds of machines, micro-USD per hour'),
    spentMicroUsd: microUsd.describe('what it has cost since it was created, micro-USD'),
    endsAt: z.iso
      .datetime()
      .nullable()
      .describe(
        'when its time or, at what it costs now, its budget is over, whichever is first; null: it has neither, or costs nothing',
      ),
    dashboardPath: z.string().describe('path of the Ray dashboard and of the cluster’s own Ray Jobs address'),
    createdAt: z.iso.datetime(),
    readyAt: z.iso.datetime().nullable(),
    idleSince: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Cluster' });
export type Cluster = z.infer<typeof cluster>;

/** Only what is named changes; null takes it back. */
export const changeCluster = z
  .strictObject({
    requirements: requirements.nullable().describe('only while it stands on no machine'),
    waitForMachines: z.boolean(),
    ...limits,
    idleTimeoutSeconds: clusterSpec.shape.idleTimeoutSeconds.unwrap(),
  })
  .partial()
  .refine(changes => Object.keys(changes).length > 0, 'names nothing to change')
  .meta({ id: 'ChangeCluster' });
export type ChangeCluster = z.infer<typeof changeCluster>;

/** A worker group's new size, between its bounds where it is autoscaled. */
export const scaleRequest = z
  .object({
    group: dnsLabel,
    count: z.int().min(0).max(10_000),
    minCount: z.int().min(0).max(10_000).optional().describe('new lower bound; it stays when absent'),
    maxCount: z
      .int()
      .min(1)
      .max(10_000)
      .nullable()
      .optional()
      .describe('new upper bound; it stays when absent, and null ends autoscaling'),
  })
  .meta({ id: 'ScaleRequest' });
export const dashboardLink = z.object({ url: z.string(), expiresAt: z.iso.datetime() }).meta({ id: 'DashboardLink' });
