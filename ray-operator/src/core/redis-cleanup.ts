/**
 * After a cluster with fault tolerance has been deleted its state would stay in Redis for ever: a finalizer holds the object
 * back until the pods are gone and a Job has removed the keys. As well as can be: a deletion is not held up without end.
 */
import { externalStorageNamespace, faultTolerance, merged, usesFaultTolerance } from './environment.js';
import type { Job, Manifest, Pod, RayCluster } from './kubernetes-objects.js';
import * as names from './names.js';
import { rayContainer } from './resources.js';

/** What the Job may take, and what the whole may, pods that do not end included. */
const jobSeconds = 300;
const wholeMs = 600_000;
/** The Job stays so long, for its log to be read. */
const keptSeconds = 300;

export const needsFinalizer = (cluster: RayCluster) => usesFaultTolerance(cluster) && !hasFinalizer(cluster);
export const hasFinalizer = ({ metadata }: RayCluster) =>
  metadata.finalizers?.includes(names.redisCleanupFinalizer) ?? false;

export type CleanupStep =
  | { kind: 'pods' }
  | { kind: 'start' }
  | { kind: 'replace' }
  | { kind: 'wait' }
  | { kind: 'finish'; cleaned: boolean; message: string };

/** Of a cluster that is being deleted: what comes next. */
export function nextStep(cluster: RayCluster, pods: Pod[], job: Job | undefined, now: number): CleanupStep {
  const since = Date.parse(cluster.metadata.deletionTimestamp ?? '');
  const namespace = externalStorageNamespace(cluster);
  const left = (why: string): CleanupStep => ({
    kind: 'finish',
    cleaned: false,
    message: `keys of the storage namespace ${namespace} may be left in Redis: ${why}`,
  });
  if (now > since + wholeMs) return left(`it took longer than ${wholeMs / 1000} s`);
  // A head that lives would write what has just been removed.
  if (pods.length > 0) return { kind: 'pods' };
  if (!job) return { kind: 'start' };
  if (job.metadata.annotations?.[names.annotations.clusterUid] !== cluster.metadata.uid) return { kind: 'replace' };
  const end = job.status?.conditions?.find(({ type, status }) => status === 'True' && /^(Complete|Failed)$/.test(type));
  if (!end) return { kind: 'wait' };
  if (end.type === 'Failed') return left(`the Job ${job.metadata.name} failed (${end.reason ?? ''})`);
  return { kind: 'finish', cleaned: true, message: `removed the storage namespace ${namespace} from Redis` };
}

const program = [
  'import os, sys',
  'from urllib.parse import urlsplit',
  'from ray._private.gcs_utils import cleanup_redis_storage',
  'address = os.environ["RAY_REDIS_ADDRESS"].split(",")[0]',
  'url = urlsplit(address if "://" in address else "redis://" + address)',
  'user = os.environ.get("REDIS_USERNAME")',
  'done = cleanup_redis_storage(host=url.hostname, port=url.port or 6379, use_ssl=url.scheme == "rediss",',
  '    password=os.environ.get("REDIS_PASSWORD", ""), storage_namespace=os.environ["RAY_external_storage_namespace"],',
  '    **({"username": user} if user else {}))',
  'sys.exit(0 if done else 1)',
].join('\n');

/** The head's own image, environment and place, so that it finds and may read what the head could. */
export function cleanupJob(cluster: RayCluster): Manifest {
  const { template, rayStartParams } = cluster.spec.headGroupSpec;
  const head = rayContainer(template);
  const { namespace, name, uid } = cluster.metadata;
  const labels = { ...names.commonLabels(cluster), [names.labels.nodeType]: 'redis-cleanup' };
  const annotations = { [names.annotations.clusterUid]: uid };
  const password = rayStartParams?.['redis-password'];
  const container = {
    name: 'redis-cleanup',
    image: head.image,
    ...chosen(head, ['imagePullPolicy', 'envFrom', 'volumeMounts', 'securityContext']),
    command: ['/bin/bash', '-c', '--'],
    args: [`python -c '${program}'`],
    env: merged(head.env, [
      ...faultTolerance(cluster),
      // Written as it is, and not as a variable that the environment has anyway.
      ...(password && !password.startsWith('$') ? [{ name: 'REDIS_PASSWORD', value: password }] : []),
      { name: 'RAY_redis_db_connect_retries', value: '120' },
    ]),
    resources: { requests: { cpu: '200m', memory: '256Mi' }, limits: { cpu: '1', memory: '512Mi' } },
  };
  const placed = ['volumes', 'nodeSelector', 'affinity', 'tolerations', 'imagePullSecrets', 'securityContext'];
  const spec = { ...chosen(template.spec, [...placed, 'priorityClassName']), restartPolicy: 'Never' };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    // No owner: what a cluster that is being deleted in the foreground owns would be deleted with it, before it has worked.
    metadata: { name: names.redisCleanupJobName(name), namespace, labels, annotations },
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: jobSeconds,
      ttlSecondsAfterFinished: keptSeconds,
      template: { metadata: { labels }, spec: { ...spec, containers: [container] } },
    },
  };
}

const chosen = (from: Record<string, unknown>, fields: string[]) =>
  Object.fromEntries(fields.filter(field => from[field] !== undefined).map(field => [field, from[field]]));
