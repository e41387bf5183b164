/** Carries out what a RayService's roles want done. */
import type { KubernetesObject, RayService } from '../core/kubernetes-objects.js';
import { annotations, labels, operatorName } from '../core/names.js';
import type { Effect } from '../core/rayservice/effects.js';
import { isAlreadyThere, isConflict, isNotFound } from '../kubernetes/api-error.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { objectPath, type Resource, resourceOf, resources } from '../kubernetes/resources.js';
import type { ServeApi } from '../ray/serve-api.js';
import type { EventRecorder } from './events.js';

export interface RayServiceEffectsOptions {
  client: KubernetesClient;
  events: EventRecorder;
  serveApi: ServeApi;
  signal: AbortSignal;
}

export class RayServiceEffects {
  constructor(private readonly options: RayServiceEffectsOptions) {}

  async carryOut(service: RayService, effect: Effect, config: unknown): Promise<void> {
    const { client, signal, serveApi, events } = this.options;
    switch (effect.do) {
      case 'create':
        await client.create(resourceOf(effect.manifest.kind), effect.manifest, signal).catch((error: unknown) => {
          if (!isAlreadyThere(error)) throw error;
        });
        events.record(service, 'Normal', 'CreatedRayCluster', `made ${effect.manifest.metadata.name}`);
        return;
      case 'apply':
        await client.apply(resourceOf(effect.manifest.kind), effect.manifest, operatorName, '', signal);
        return;
      case 'deploy':
        try {
          await serveApi.deploy(effect.cluster, config, signal);
        } catch (error) {
          const message = `${effect.cluster.metadata.name}: ${(error as Error).message}`;
          if (!signal.aborted) events.record(service, 'Warning', 'FailedToUpdateServeApplications', message);
          throw error;
        }
        events.record(service, 'Normal', 'UpdatedServeApplications', `sent to ${effect.cluster.metadata.name}`);
        return;
      case 'label': {
        const body = { metadata: { labels: { [labels.serve]: String(effect.serves) } } };
        await this.merge(resources.pods, effect.pod, body);
        return;
      }
      case 'retire': {
        const at = new Date(effect.atMs).toISOString();
        await this.merge(resources.rayClusters, effect.cluster, {
          metadata: { annotations: { [annotations.retireAt]: at } },
        });
        return;
      }
      case 'scale': {
        const { resourceVersion } = effect.cluster.metadata;
        const metadata = { resourceVersion, annotations: { [annotations.appliedHash]: effect.whole } };
        await this.merge(resources.rayClusters, effect.cluster, { metadata, spec: effect.spec });
        events.record(service, 'Normal', 'UpdatedRayCluster', `changed ${effect.cluster.metadata.name} in place`);
        return;
      }
      case 'deleteCluster':
        await this.delete(resources.rayClusters, effect.cluster);
        events.record(service, 'Normal', 'DeletedRayCluster', `deleted ${effect.cluster.metadata.name}`);
        return;
      case 'deleteService':
        await this.delete(resources.services, effect.service);
        return;
    }
  }

  private async merge(resource: Resource, { metadata }: KubernetesObject, body: unknown): Promise<void> {
    const path = objectPath(resource, metadata.namespace, metadata.name);
    // A pod may have gone meanwhile.
    await this.options.client.merge(path, body, this.options.signal).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }

  private async delete(resource: Resource, object: KubernetesObject): Promise<void> {
    await this.options.client.delete(resource, object, this.options.signal).catch((error: unknown) => {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    });
  }
}
