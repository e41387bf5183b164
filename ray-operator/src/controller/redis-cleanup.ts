/** Puts the finalizer on clusters with fault tolerance, and takes it off when their keys are gone from Redis. */
import type { Job, Pod, RayCluster } from '../core/kubernetes-objects.js';
import { redisCleanupFinalizer, redisCleanupJobName } from '../core/names.js';
import { cleanupJob, needsFinalizer, nextStep } from '../core/redis-cleanup.js';
import { isAlreadyThere, isNotFound, isTerminatingNamespace } from '../kubernetes/api-error.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { objectPath, resources } from '../kubernetes/resources.js';
import type { EventRecorder } from './events.js';
import { changeFinalizer } from './finalizers.js';

/** Its Job is not watched, but asked for: few clusters are in this state, and none for long. */
export const jobEveryMs = 1_000;

export interface RedisCleanupOptions {
  client: KubernetesClient;
  events: EventRecorder;
  signal: AbortSignal;
  enabled: boolean;
}

export class RedisCleanup {
  constructor(private readonly options: RedisCleanupOptions) {}

  /** Before the head is made, for what it writes must be removed again. True: the object has changed, and will come anew. */
  async prepare(cluster: RayCluster): Promise<boolean> {
    if (!this.options.enabled || !needsFinalizer(cluster)) return false;
    await this.change(cluster, 'add');
    return true;
  }

  /** One step of a cluster that is being deleted. `pods`: they have to go first; `wait`: come again after `jobEveryMs`. */
  async step(cluster: RayCluster, pods: Pod[]): Promise<'pods' | 'wait' | 'released'> {
    const { client, signal, enabled } = this.options;
    if (!enabled) return this.release(cluster);
    const job = pods.length > 0 ? undefined : await this.job(cluster);
    const step = nextStep(cluster, pods, job, Date.now());
    switch (step.kind) {
      case 'pods':
        return 'pods';
      case 'start':
        return this.start(cluster);
      case 'replace':
        if (job) await client.delete(resources.jobs, job, signal);
        return 'wait';
      case 'wait':
        return 'wait';
      case 'finish':
        return this.release(cluster, step);
    }
  }

  private async start(cluster: RayCluster): Promise<'wait' | 'released'> {
    const { client, events, signal } = this.options;
    try {
      await client.create(resources.jobs, cleanupJob(cluster), signal);
      events.record(cluster, 'Normal', 'CreatedRedisCleanupJob', `made the Job ${jobName(cluster)}`);
    } catch (error) {
      if (isTerminatingNamespace(error)) {
        return this.release(cluster, { cleaned: false, message: 'its namespace is being deleted and takes no Job' });
      }
      if (!isAlreadyThere(error)) throw error;
    }
    return 'wait';
  }

  private async release(cluster: RayCluster, outcome?: { cleaned: boolean; message: string }): Promise<'released'> {
    await this.change(cluster, 'remove').catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    const { events } = this.options;
    if (outcome?.cleaned) events.record(cluster, 'Normal', 'CleanedRedis', outcome.message);
    else if (outcome) events.record(cluster, 'Warning', 'RedisNotCleaned', outcome.message);
    return 'released';
  }

  private change(cluster: RayCluster, change: 'add' | 'remove'): Promise<void> {
    return changeFinalizer(this.options, resources.rayClusters, cluster, redisCleanupFinalizer, change);
  }

  private async job(cluster: RayCluster): Promise<Job | undefined> {
    const path = objectPath(resources.jobs, cluster.metadata.namespace, jobName(cluster));
    return this.options.client.get<Job>(path, {}, this.options.signal).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
  }
}

const jobName = ({ metadata }: RayCluster) => redisCleanupJobName(metadata.name);
