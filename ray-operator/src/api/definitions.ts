/** The kinds that the operator brings to Kubernetes. `npm run crd` writes them into `config/crd`. */
import type { Column, Definition } from './crd.js';
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
];
