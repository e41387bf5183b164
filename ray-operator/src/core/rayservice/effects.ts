/** What a RayService's roles want done: each can be repeated, and is until it is seen to be done. */
import type { RayClusterSpec } from '../../api/raycluster.js';
import type { Manifest, Pod, RayCluster, RayService, Service } from '../kubernetes-objects.js';
import { annotations, labels } from '../names.js';
import { isLeaving } from '../pod-health.js';
import { isHeadReady } from '../rayjob/observation.js';
import { clusterOf, servicesOf } from './manifests.js';
import { namesOf, type Observed, podSpecOf, type ServedCluster, takesRequests } from './observation.js';

export type Effect =
  | { do: 'create'; manifest: Manifest }
  | { do: 'apply'; manifest: Manifest }
  | { do: 'scale'; cluster: RayCluster; spec: Partial<RayClusterSpec>; whole: string }
  | { do: 'deploy'; cluster: RayCluster }
  | { do: 'label'; pod: Pod; serves: boolean }
  | { do: 'retire'; cluster: RayCluster; atMs: number }
  | { do: 'deleteCluster'; cluster: RayCluster }
  | { do: 'deleteService'; service: Service };

const defaultDelaySeconds = 60;

export function effectsOf(service: RayService, observed: Observed, hash: (text: string) => string): Effect[] {
  const { clusters, services } = observed;
  if (service.spec.suspend) {
    return [
      ...services
        .filter(({ metadata }) => !metadata.deletionTimestamp)
        .map(each => ({ do: 'deleteService' as const, service: each })),
      ...[...clusters.values()].flatMap(each => deletion(each)),
    ];
  }
  if (observed.problems.length > 0) return [];
  const { active, pending } = namesOf(service);
  const effects: Effect[] = [];
  for (const name of [active, pending]) {
    if (name === undefined) continue;
    const served = clusters.get(name);
    if (!served) effects.push({ do: 'create', manifest: clusterOf(service, name, observed.goal) });
    else effects.push(...scaling(service, served, observed), ...labelling(service, served));
  }
  const serving = active === undefined ? undefined : clusters.get(active);
  if (serving) {
    const mark = annotations.appliedHash;
    effects.push(
      ...servicesOf(service, serving.cluster, hash)
        .filter(({ metadata }) => {
          const there = services.find(each => each.metadata.name === metadata.name);
          return there?.metadata.annotations?.[mark] !== metadata.annotations?.[mark];
        })
        .map(manifest => ({ do: 'apply' as const, manifest })),
    );
  }
  effects.push(...retirement(service, observed));
  // While another cluster is on its way, the applications are changed there: they may need what is new in it. Last of all,
  // as Serve may refuse them.
  const target = clusters.get(pending ?? active ?? '');
  if (target && wantsDeployment(target, observed)) effects.push({ do: 'deploy', cluster: target.cluster });
  return effects;
}

const deletion = ({ cluster }: ServedCluster): Effect[] =>
  cluster.metadata.deletionTimestamp ? [] : [{ do: 'deleteCluster', cluster }];

/** A head that knows no application has lost them with its state. */
function wantsDeployment({ cluster, serve, isDeployed }: ServedCluster, { applications }: Observed): boolean {
  if (!isHeadReady(cluster) || serve.kind !== 'serve') return false;
  return !isDeployed || (applications.length > 0 && Object.keys(serve.applications).length === 0);
}

function labelling({ spec }: RayService, served: ServedCluster): Effect[] {
  return served.pods.flatMap(pod => {
    const serves = takesRequests(pod, served, spec.excludeHeadPodFromServeSvc === true);
    const isSo = pod.metadata.labels?.[labels.serve] === String(serves);
    return serves === undefined || isSo || isLeaving(pod) ? [] : [{ do: 'label' as const, pod, serves }];
  });
}

/** What changes no pod is changed in place. */
function scaling({ spec }: RayService, served: ServedCluster, { goal }: Observed): Effect[] {
  const { cluster } = served;
  const isAsWanted = cluster.metadata.annotations?.[annotations.appliedHash] === goal.whole;
  if (isAsWanted || podSpecOf(served) !== goal.podSpec || cluster.metadata.deletionTimestamp) return [];
  const autoscales = spec.rayClusterConfig.enableInTreeAutoscaling === true;
  const groups = (spec.rayClusterConfig.workerGroupSpecs ?? []).map(group => {
    const now = cluster.spec.workerGroupSpecs?.find(({ groupName }) => groupName === group.groupName);
    // How many there are is the autoscaler's to say.
    return autoscales && now ? { ...group, replicas: now.replicas } : group;
  });
  return [{ do: 'scale', cluster, spec: { ...spec.rayClusterConfig, workerGroupSpecs: groups }, whole: goal.whole }];
}

export function retirement(service: RayService, { clusters, nowMs }: Observed): Effect[] {
  const { active, pending } = namesOf(service);
  const delayMs = (service.spec.rayClusterDeletionDelaySeconds ?? defaultDelaySeconds) * 1000;
  return [...clusters].flatMap(([name, served]): Effect[] => {
    if (name === active || name === pending) return [];
    const at = Date.parse(served.cluster.metadata.annotations?.[annotations.retireAt] ?? '');
    if (Number.isNaN(at)) return [{ do: 'retire', cluster: served.cluster, atMs: nowMs + delayMs }];
    return nowMs >= at ? deletion(served) : [];
  });
}
