/** Makes and deletes the pods of a plan, and tells the expectations before each request. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest, Pod } from '../core/kubernetes-objects.js';
import { isHead } from '../core/pod-health.js';
import type { Deletion } from '../core/worker-groups.js';
import { ApiError, isAlreadyThere, isNotFound } from '../kubernetes/api-error.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { objectPath, resources } from '../kubernetes/resources.js';
import type { Expectations } from './expectations.js';
import { FairGate } from './fair-gate.js';
import { inGrowingBatches } from './slow-start.js';

export interface Failure {
  reason: string;
  message: string;
  cause: unknown;
}

export interface PodEffectsOptions {
  client: KubernetesClient;
  expectations: Expectations;
  creationBatch: number;
  signal: AbortSignal;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Below the sockets that there are: status, Services and events need some, too. */
const requestsAtATime = 48;

export class PodEffects {
  private readonly gate = new FairGate(requestsAtATime);

  constructor(private readonly options: PodEffectsOptions) {}

  async delete(key: string, deletions: Deletion[]): Promise<{ done: number; failure?: Failure }> {
    const { done, errors } = await inGrowingBatches(deletions, this.options.creationBatch, each =>
      this.gate.run(key, () => this.deleteOne(key, each)),
    );
    if (errors.length === 0) return { done };
    const reason = deletions.some(({ pod }) => isHead(pod)) ? 'FailedDeleteHeadPod' : 'FailedDeleteWorkerPod';
    return { done, failure: { reason, message: messageOf(errors[0]), cause: errors[0] } };
  }

  async create(key: string, owner: string, manifests: Manifest[]): Promise<{ done: number; failure?: Failure }> {
    const { done, errors } = await inGrowingBatches(manifests, this.options.creationBatch, manifest =>
      this.gate.run(key, () => this.createOne(key, owner, manifest)),
    );
    if (errors.length === 0) return { done };
    const head = manifests[0] && isHead(manifests[0] as unknown as Pod);
    const reason = head && done === 0 ? 'FailedCreateHeadPod' : 'FailedCreateWorkerPod';
    return { done, failure: { reason, message: messageOf(errors[0]), cause: errors[0] } };
  }

  private async deleteOne(key: string, { pod, force }: Deletion): Promise<void> {
    const { client, expectations, signal } = this.options;
    expectations.expectDeletion(key, pod.metadata.uid);
    try {
      await client.delete(resources.pods, pod, signal, force);
    } catch (error) {
      // Gone already, or another by its name: what we wanted, and the watch will say so.
      if (isNotFound(error) || (error instanceof ApiError && error.status === 409)) return;
      expectations.deletionFailed(key, pod.metadata.uid);
      throw error;
    }
  }

  private async createOne(key: string, owner: string, manifest: Manifest): Promise<void> {
    const { client, expectations, signal } = this.options;
    const { name } = manifest.metadata;
    expectations.expectCreation(key, name);
    try {
      await client.create(resources.pods, manifest, signal);
    } catch (error) {
      const unanswered = error instanceof ApiError && error.status === 0 && !signal.aborted;
      if (!unanswered && !isAlreadyThere(error)) {
        expectations.creationFailed(key, name);
        throw error;
      }
      if (unanswered) await sleep(500, undefined, { signal });
      if (await this.isOurs(manifest, owner)) return;
      expectations.creationFailed(key, name);
      throw error;
    }
  }

  /** Whether a pod that may have been made is there after all: asked by name, as names are ours to choose. */
  private async isOurs({ metadata }: Manifest, owner: string): Promise<boolean> {
    const path = objectPath(resources.pods, metadata.namespace, metadata.name);
    try {
      const pod = await this.options.client.get<Pod>(path, {}, this.options.signal);
      return pod.metadata.ownerReferences?.some(({ uid }) => uid === owner) ?? false;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }
}
