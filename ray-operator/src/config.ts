/** The operator's settings, from its environment; a bad one stops the start with its name. */
import { hostname } from 'node:os';

export interface OperatorConfig {
  /** '' for all. */
  watchNamespace: string;
  /** Where the Lease lies. */
  namespace: string;
  leaseName: string;
  identity: string;
  leaseSeconds: number;
  concurrency: number;
  /** Pods of one cluster that are made at a time, at most. */
  creationBatch: number;
  resyncSeconds: number;
  metricsHost: string;
  metricsPort: number;
  waitForHead: boolean;
  /** Kubeconfigs of other Kubernetes clusters, each under the name of one; '' for none. */
  membersDirectory: string;
  /** Whether the keys of clusters with fault tolerance are removed from Redis when they are deleted. */
  redisCleanup: boolean;
  /** After its grace period a pod that is being deleted holds up its successor for so long, at most. */
  lateAfterSeconds: number;
  logLevel: string;
}

export class ConfigError extends Error {
  override name = 'ConfigError';
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

export function parseConfig(env: NodeJS.ProcessEnv): OperatorConfig {
  const integer = (name: string, fallback: number, least: number, most: number) => {
    const text = env[name];
    if (text === undefined || text === '') return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new ConfigError(`${name}: a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`);
  };
  const oneOf = (name: string, fallback: string, choices: string[]) => {
    const value = env[name] || fallback;
    if (choices.includes(value)) return value;
    throw new ConfigError(`${name}: one of ${choices.join(', ')}, not ${JSON.stringify(value)}`);
  };
  return {
    watchNamespace: env.RAY_OPERATOR_WATCH_NAMESPACE ?? '',
    namespace: env.RAY_OPERATOR_NAMESPACE || 'default',
    leaseName: env.RAY_OPERATOR_LEASE_NAME || 'ray-operator',
    identity: `${env.RAY_OPERATOR_IDENTITY || hostname()}_${process.pid}_${Date.now().toString(36)}`,
    leaseSeconds: integer('RAY_OPERATOR_LEASE_SECONDS', 15, 2, 300),
    concurrency: integer('RAY_OPERATOR_CONCURRENCY', 128, 1, 1_024),
    creationBatch: integer('RAY_OPERATOR_CREATION_BATCH', 32, 1, 500),
    resyncSeconds: integer('RAY_OPERATOR_RESYNC_SECONDS', 600, 5, 86_400),
    membersDirectory: env.RAY_OPERATOR_MEMBERS_DIR ?? '',
    metricsHost: env.RAY_OPERATOR_METRICS_HOST || '0.0.0.0',
    metricsPort: integer('RAY_OPERATOR_METRICS_PORT', 8080, 0, 65_535),
    waitForHead: oneOf('RAY_OPERATOR_WAIT_FOR_HEAD', 'true', ['true', 'false']) === 'true',
    redisCleanup: oneOf('RAY_OPERATOR_REDIS_CLEANUP', 'true', ['true', 'false']) === 'true',
    lateAfterSeconds: integer('RAY_OPERATOR_LATE_POD_SECONDS', 60, 1, 86_400),
    logLevel: oneOf('RAY_OPERATOR_LOG_LEVEL', 'info', levels),
  };
}
