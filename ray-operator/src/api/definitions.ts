/** The kinds that the operator brings to Kubernetes. `npm run crd` writes them into `config/crd`. */
import type { Column, Definition } from './crd.js';
import { megaRayClusterSchema } from './megaraycluster.js';
import { rayClusterSchema } from './raycluster.js';

const rayClusterColumns: Column[] = [
  ['desired workers', 'integer', '.status.desiredWorkerReplicas'],
  ['available workers', 'integer', '.status.availableWorkerReplicas'],
  ['cpus', 'string', '.status.desiredCPU'],
  ['memory', 'string', '.status.desiredMemory'],
  ['gpus', 'string', '.status.desiredGPU'],
  ['tpus', 'string', '.status.desiredTPU', 1],
  ['status', 'string', '.status.state'],
  ['age', 'date', '.metadata.creationTimestamp'],
  ['head pod IP', 'string', '.status.head.podIP', 1],
  ['head service IP', 'string', '.status.head.serviceIP', 1],
];

const megaRayClusterColumns: Column[] = [
  ['desired', 'integer', '.status.desiredReplicas'],
  ['cells', 'integer', '.status.replicas'],
  ['ready', 'integer', '.status.readyReplicas'],
  ['updated', 'integer', '.status.updatedReplicas'],
  ['unavailable', 'integer', '.status.unavailableReplicas'],
  ['gpus', 'string', '.status.desiredGPU'],
  ['available', 'string', '.status.conditions[?(@.type=="Available")].status'],
  ['age', 'date', '.metadata.creationTimestamp'],
  ['ready gpus', 'string', '.status.readyGPU', 1],
  ['workers', 'integer', '.status.desiredWorkers', 1],
  ['ready workers', 'integer', '.status.readyWorkers', 1],
];

export const definitions: Definition[] = [
  {
    group: 'ray.io',
    version: 'v1',
    kind: 'RayCluster',
    plural: 'rayclusters',
    shortNames: ['rayc'],
    columns: rayClusterColumns,
    schema: rayClusterSchema,
  },
  {
    group: 'mega.iocloud.io',
    version: 'v1alpha1',
    kind: 'MegaRayCluster',
    plural: 'megarayclusters',
    shortNames: ['megarayc'],
    columns: megaRayClusterColumns,
    schema: megaRayClusterSchema,
    scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
  },
];
