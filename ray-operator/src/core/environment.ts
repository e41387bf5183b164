/** Environment variables of the Ray containers. What the user's template sets is left as it is. */
import { tokenSecretName, usesTokens } from './authentication.js';
import type { RayCluster } from './kubernetes-objects.js';
import { annotations, headServiceName, labels, tokenKey } from './names.js';
import { gcsPort } from './ray-start.js';

export type EnvVar = Record<string, unknown> & { name: string };

const value = (name: string, text: string): EnvVar => ({ name, value: text });
const field = (name: string, fieldPath: string): EnvVar => ({ name, valueFrom: { fieldRef: { fieldPath } } });

export function merged(given: Record<string, unknown>[] | undefined, ours: EnvVar[]): Record<string, unknown>[] {
  const names = new Set((given ?? []).map(({ name }) => name));
  return [...(given ?? []), ...ours.filter(({ name }) => !names.has(name))];
}

/** Taken with every connection, so that none but the cluster's own reach Ray. */
export function authentication(cluster: RayCluster): EnvVar[] {
  if (!usesTokens(cluster.spec)) return [];
  return [
    value('RAY_AUTH_MODE', 'token'),
    { name: 'RAY_AUTH_TOKEN', valueFrom: { secretKeyRef: { name: tokenSecretName(cluster), key: tokenKey } } },
  ];
}

const everyNode = (cluster: RayCluster, startCommand: string): EnvVar[] => [
  field('RAY_CLUSTER_NAME', `metadata.labels['${labels.cluster}']`),
  // The autoscaler knows a node by its pod's name and its type by its group.
  field('RAY_CLOUD_INSTANCE_ID', 'metadata.name'),
  field('RAY_NODE_TYPE_NAME', `metadata.labels['${labels.group}']`),
  value('KUBERAY_GEN_RAY_START_CMD', startCommand),
  value('RAY_USAGE_STATS_KUBERAY_IN_USE', '1'),
  value('RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE', '1'),
  ...authentication(cluster),
];

export function headEnvironment(cluster: RayCluster, startCommand: string): EnvVar[] {
  const port = gcsPort(cluster.spec.headGroupSpec);
  return [
    value('RAY_ADDRESS', `127.0.0.1:${port}`),
    value('RAY_IP', '127.0.0.1'),
    value('RAY_PORT', port),
    ...everyNode(cluster, startCommand),
    ...(usesAutoscalerV2(cluster) ? [value('RAY_enable_autoscaler_v2', '1')] : []),
    ...faultTolerance(cluster),
  ];
}

export function workerEnvironment(cluster: RayCluster, startCommand: string): EnvVar[] {
  return [...headAddress(cluster), ...everyNode(cluster, startCommand), ...reconnection(cluster)];
}

/** How a pod of the cluster finds the head. */
export function headAddress(cluster: RayCluster): EnvVar[] {
  const name = headServiceName(cluster.metadata.name);
  const host = `${name}.${cluster.metadata.namespace}.svc.cluster.local`;
  const port = gcsPort(cluster.spec.headGroupSpec);
  return [
    value('FQ_RAY_IP', host),
    value('RAY_IP', name),
    value('RAY_PORT', port),
    value('RAY_ADDRESS', `${host}:${port}`),
  ];
}

export const usesAutoscalerV2 = ({ spec }: RayCluster) =>
  spec.enableInTreeAutoscaling === true && spec.autoscalerOptions?.version === 'v2';

export const usesFaultTolerance = ({ spec, metadata }: RayCluster) =>
  spec.gcsFaultToleranceOptions !== undefined || metadata.annotations?.[annotations.faultTolerance] === 'true';

export function externalStorageNamespace({ spec, metadata }: RayCluster): string {
  return (
    spec.gcsFaultToleranceOptions?.externalStorageNamespace ??
    metadata.annotations?.[annotations.externalStorageNamespace] ??
    metadata.uid
  );
}

export function faultTolerance(cluster: RayCluster): EnvVar[] {
  if (!usesFaultTolerance(cluster)) return [];
  const options = cluster.spec.gcsFaultToleranceOptions;
  const variables = [value('RAY_external_storage_namespace', externalStorageNamespace(cluster))];
  if (options) variables.push(value('RAY_REDIS_ADDRESS', options.redisAddress));
  if (options?.redisUsername) variables.push({ name: 'REDIS_USERNAME', ...options.redisUsername });
  if (options?.redisPassword) variables.push({ name: 'REDIS_PASSWORD', ...options.redisPassword });
  return variables;
}

/** A head that comes back within ten minutes finds its workers waiting. */
const reconnection = (cluster: RayCluster): EnvVar[] =>
  usesFaultTolerance(cluster) ? [value('RAY_gcs_rpc_server_reconnect_timeout_s', '600')] : [];
