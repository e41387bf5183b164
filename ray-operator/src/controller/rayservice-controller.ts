/** RayServices: which cluster serves and which is to, then what these roles want done. */
import { parse } from 'yaml';
import type { RayServiceStatus } from '../api/rayservice.js';
import type { Pod, RayCluster, RayService, Service } from '../core/kubernetes-objects.js';
import { isOurs } from '../core/managed-by.js';
import { isHeadReady } from '../core/rayjob/observation.js';
import { effectsOf } from '../core/rayservice/effects.js';
import { headServiceOf, serveServiceOf } from '../core/rayservice/manifests.js';
import { namesOf, type Observed, type ServedCluster } from '../core/rayservice/observation.js';
import { nextRoles } from '../core/rayservice/roles.js';
import { statusOf } from '../core/rayservice/status.js';
import { type ServeConfig, serveConfigOf, validateRayService } from '../core/rayservice/validation.js';
import { canonical, podSpecHash } from '../core/spec-hash.js';
import { rfc3339 } from '../core/time.js';
import { type Informer, keyOf } from '../kubernetes/informer.js';
import { resources } from '../kubernetes/resources.js';
import type { ServeApi } from '../ray/serve-api.js';
import { KindController, type KindSettings } from './kind-controller.js';
import { originKeyOf } from './local-copies.js';
import { RayServiceEffects } from './rayservice-effects.js';
import { newSuffix } from './suffix.js';
import { sha256 } from './text-hash.js';

export interface RayServiceControllerOptions extends KindSettings {
  rayServices: Informer<RayService>;
  clusters: Informer<RayCluster>;
  pods: Informer<Pod>;
  services: Informer<Service>;
  serveApi: ServeApi;
  pollMs: number;
}

const kind = 'RayService';
const gatherMs = 50;

export class RayServiceController extends KindController<RayServiceStatus, RayService> {
  private readonly effects: RayServiceEffects;
  /** What was sent to which head, by the cluster's uid. Lost with the process: then it is sent again, which changes nothing. */
  private readonly deployed = new Map<string, string>();

  constructor(private readonly options: RayServiceControllerOptions) {
    super({ apiVersion: 'ray.io/v1', kind, resource: resources.rayServices, objects: options.rayServices }, options);
    const { client, signal, serveApi } = options;
    this.effects = new RayServiceEffects({ client, signal, events: this.events, serveApi });
    this.follow();
  }

  private follow(): void {
    const { clusters, pods, services } = this.options;
    const { queue } = this;
    clusters.onChange((change, cluster) => {
      if (change === 'deleted') this.deployed.delete(cluster.metadata.uid);
      const key = originKeyOf(cluster, kind);
      if (key !== undefined) queue.add(key);
    });
    services.onChange((_change, service) => {
      const key = originKeyOf(service, kind);
      if (key !== undefined) queue.add(key);
    });
    pods.onChange((_change, pod) => {
      const owner = pod.metadata.ownerReferences?.[0];
      const cluster = owner && clusters.objects.get(`${pod.metadata.namespace}/${owner.name}`);
      const key = cluster && originKeyOf(cluster, kind);
      if (key !== undefined) queue.addAfter(key, gatherMs);
    });
  }

  protected async reconcile(key: string): Promise<void> {
    const known = this.options.rayServices.objects.get(key);
    // What is deleted is taken apart by Kubernetes' garbage collector, by owner references.
    if (!known || known.metadata.deletionTimestamp || !isOurs(known.spec)) return;
    const service = this.statuses.newest(known);
    const config = serveConfigOf(service, parse);
    const observed = await this.observe(service, config);
    if (observed.problems.length > 0) {
      this.events.record(service, 'Warning', 'InvalidRayServiceSpec', observed.problems.join('; '));
    }
    const roles = nextRoles(service, observed, () => `${service.metadata.name}-${newSuffix()}`);
    const status = statusOf(service, observed, roles);
    const { lastUpdateTime, ...before } = service.status ?? {};
    if (canonical(status) !== canonical(before)) {
      const at = rfc3339(observed.nowMs);
      await this.statuses.write(service, { ...status, lastUpdateTime: at });
    }
    if (roles) {
      if (roles.active && roles.active !== service.status?.activeServiceStatus?.rayClusterName) {
        this.events.record(service, 'Normal', 'SwitchedRayCluster', `${roles.active} serves from now on`);
      }
      this.queue.add(key);
      return;
    }
    const effects = effectsOf(service, observed, sha256);
    for (const effect of effects) {
      await this.effects.carryOut(service, effect, typeof config === 'string' ? undefined : config.config);
      if (effect.do === 'deploy') this.deployed.set(effect.cluster.metadata.uid, this.deploymentOf(service));
    }
    if (observed.clusters.size > 0) this.queue.addAfter(key, this.options.pollMs);
  }

  private readonly deploymentOf = ({ spec }: RayService) => sha256(spec.serveConfigV2 ?? '');

  private async observe(service: RayService, config: ServeConfig | string): Promise<Observed> {
    const { clusters, pods, services, serveApi, signal } = this.options;
    const { namespace, name, uid } = service.metadata;
    const isOwned = ({ metadata }: RayCluster | Service) => metadata.ownerReferences?.some(owner => owner.uid === uid);
    const own = [...clusters.objects.values()].filter(isOwned);
    const names = [headServiceOf(name), serveServiceOf(name)];
    const { active, pending } = namesOf(service);
    const served = own.map(async (cluster): Promise<[string, ServedCluster]> => {
      const isAsked = [active, pending].includes(cluster.metadata.name) && isHeadReady(cluster);
      const serve = isAsked ? await serveApi.applications(cluster, signal) : ({ kind: 'unasked' } as const);
      const members = pods
        .ownedBy(keyOf(cluster))
        .filter(pod => pod.metadata.ownerReferences?.some(owner => owner.uid === cluster.metadata.uid));
      const isDeployed = this.deployed.get(cluster.metadata.uid) === this.deploymentOf(service);
      return [cluster.metadata.name, { cluster, pods: members, serve, isDeployed }];
    });
    const { rayClusterConfig } = service.spec;
    return {
      problems: validateRayService(service, config),
      clusters: new Map(await Promise.all(served)),
      services: names.flatMap(each => services.objects.get(`${namespace}/${each}`) ?? []).filter(isOwned),
      goal: { podSpec: podSpecHash(rayClusterConfig, sha256), whole: sha256(canonical(rayClusterConfig)) },
      applications: typeof config === 'string' ? [] : config.applications,
      nowMs: Date.now(),
    };
  }
}
