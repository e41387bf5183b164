/** Names, labels and annotations that KubeRay's users, Ray's autoscaler and dashboards know. */
import type { OwnerReference, RayCluster } from './kubernetes-objects.js';

export const labels = {
  cluster: 'ray.io/cluster',
  nodeType: 'ray.io/node-type',
  group: 'ray.io/group',
  isRayNode: 'ray.io/is-ray-node',
  identifier: 'ray.io/identifier',
  replicaName: 'ray.io/worker-group-replica-name',
  hostIndex: 'ray.io/replica-host-index',
  createdBy: 'app.kubernetes.io/created-by',
  application: 'app.kubernetes.io/name',
} as const;

export const annotations = {
  overwriteCommand: 'ray.io/overwrite-container-cmd',
  faultTolerance: 'ray.io/ft-enabled',
  externalStorageNamespace: 'ray.io/external-storage-namespace',
  /** Of what the pods of a cluster were made: another value means that the user has changed the spec since. */
  specHash: 'ray.io/upgrade-strategy-recreate-hash',
  /** Of what an object was applied with: another value means that it must be applied again. */
  appliedHash: 'io.iocloud/applied-hash',
  /** On what outlives a cluster by that name, and must not be taken for the next one's. */
  clusterUid: 'io.iocloud/cluster-uid',
} as const;

export const operatorName = 'iocloud-ray-operator';
export const headGroupName = 'headgroup';
export const tokenKey = 'auth_token';

export const ports = { gcs: 6379, dashboard: 8265, client: 10001, metrics: 8080, serve: 8000, agent: 52365 } as const;

/** A name that becomes a label's value or part of a host name has at most 63 characters: the end is kept, it tells apart. */
const shortened = (name: string, length = 63) => {
  if (name.length <= length) return name;
  return name.slice(name.length - length).replace(/^[^a-z]+/, '');
};

/** Known from KubeRay: it holds a cluster back until its keys are gone from Redis. */
export const redisCleanupFinalizer = 'ray.io/gcs-ft-redis-cleanup-finalizer';

export const headPodName = (cluster: string) => shortened(`${cluster}-head`);
export const headServiceName = (cluster: string) => shortened(`${cluster}-head-svc`);
export const headIngressName = (cluster: string) => shortened(`${cluster}-head-ingress`);
export const headlessServiceName = (cluster: string) => shortened(`${cluster}-headless`);
export const redisCleanupJobName = (cluster: string) => shortened(`${cluster}-redis-cleanup`);
export const autoscalerAccountName = (cluster: string) => shortened(`${cluster}-autoscaler`);
export const workerPodName = (cluster: string, group: string, suffix: string) =>
  `${shortened(`${cluster}-${group}-worker`, 63 - suffix.length - 1)}-${suffix}`;

export function commonLabels(cluster: RayCluster): Record<string, string> {
  return {
    [labels.cluster]: cluster.metadata.name,
    [labels.application]: 'kuberay',
    [labels.createdBy]: operatorName,
  };
}

/** Kubernetes' garbage collector deletes with the cluster whatever carries this. */
export function ownedBy(cluster: RayCluster): OwnerReference {
  return {
    apiVersion: 'ray.io/v1',
    kind: 'RayCluster',
    name: cluster.metadata.name,
    uid: cluster.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}
