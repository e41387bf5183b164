/** Carries out what a RayJob's state wants done. */
import type { KubernetesObject, RayJob } from '../core/kubernetes-objects.js';
import { finalizer, operatorName } from '../core/names.js';
import type { Effect } from '../core/rayjob/effects.js';
import { submission } from '../core/rayjob/manifests.js';
import type { RayAnswer } from '../core/rayjob/observation.js';
import { isAlreadyThere, isConflict, isNotFound } from '../kubernetes/api-error.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { objectPath, type Resource, resourceOf, resources } from '../kubernetes/resources.js';
import type { JobsApi } from '../ray/jobs-api.js';
import type { EventRecorder } from './events.js';

export interface RayJobEffectsOptions {
  client: KubernetesClient;
  events: EventRecorder;
  jobsApi: JobsApi;
  signal: AbortSignal;
}

const wordOf = { RayCluster: 'RayCluster', Job: 'RayJobSubmitter' } as Record<string, string>;

export class RayJobEffects {
  constructor(private readonly options: RayJobEffectsOptions) {}

  /** Returns what the head said, where it was spoken to. */
  async carryOut(job: RayJob, effects: Effect[], runtimeEnv: unknown): Promise<RayAnswer | undefined> {
    let answer: RayAnswer | undefined;
    for (const effect of effects) answer = (await this.one(job, effect, runtimeEnv)) ?? answer;
    return answer;
  }

  private async one(job: RayJob, effect: Effect, runtimeEnv: unknown): Promise<RayAnswer | undefined> {
    const { client, jobsApi, signal } = this.options;
    switch (effect.do) {
      case 'hold':
        await this.applyFinalizers(job, [finalizer]);
        return undefined;
      case 'create':
        await this.create(job, effect.manifest);
        return undefined;
      case 'submit':
        return jobsApi.submit(effect.cluster, submission(job, runtimeEnv), signal);
      case 'stop':
        await jobsApi.stop(effect.cluster, effect.jobId, signal);
        return undefined;
      case 'deleteCluster':
        await this.delete(job, resources.rayClusters, effect.cluster, 'RayCluster');
        return undefined;
      case 'deleteSubmitter': {
        const { namespace } = job.metadata;
        const submitter = { metadata: { name: effect.name, uid: effect.uid, namespace } };
        await this.delete(job, resources.jobs, submitter, 'RayJobSubmitter');
        return undefined;
      }
      case 'suspendWorkers': {
        const { metadata, spec } = effect.cluster;
        const groups = (spec.workerGroupSpecs ?? []).map(group => ({ ...group, suspend: effect.suspend }));
        // The whole list goes out: only if nobody has changed it since it was read.
        const body = { metadata: { resourceVersion: metadata.resourceVersion }, spec: { workerGroupSpecs: groups } };
        const path = objectPath(resources.rayClusters, metadata.namespace, metadata.name);
        await client.merge(path, body, signal);
        return undefined;
      }
      case 'deleteSelf':
        await this.delete(job, resources.rayJobs, job, 'RayJob');
        return undefined;
    }
  }

  /** The name was written down before: what is there under it already is ours. */
  private async create(job: RayJob, manifest: Extract<Effect, { do: 'create' }>['manifest']): Promise<void> {
    const { client, events, signal } = this.options;
    const word = wordOf[manifest.kind];
    try {
      await client.create(resourceOf(manifest.kind), manifest, signal);
      events.record(job, 'Normal', `Created${word}`, `made ${manifest.metadata.name}`);
    } catch (error) {
      if (isAlreadyThere(error)) return;
      if (!signal.aborted) events.record(job, 'Warning', `FailedToCreate${word}`, String((error as Error).message));
      throw error;
    }
  }

  private async delete(job: RayJob, resource: Resource, object: KubernetesObject, word: string): Promise<void> {
    const { client, events, signal } = this.options;
    try {
      await client.delete(resource, object, signal);
      events.record(job, 'Normal', `Deleted${word}`, `deleted ${object.metadata.name}`);
    } catch (error) {
      // Gone, or another of the same name is there: what was meant is not.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  async release(job: RayJob): Promise<void> {
    await this.applyFinalizers(job, []).catch((error: unknown) => {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    });
  }

  private async applyFinalizers({ metadata }: RayJob, finalizers: string[]): Promise<void> {
    const { name, namespace, uid } = metadata;
    const manifest = { apiVersion: 'ray.io/v1', kind: 'RayJob', metadata: { name, namespace, uid, finalizers } };
    await this.options.client.apply(resources.rayJobs, manifest, operatorName, '', this.options.signal);
  }
}
