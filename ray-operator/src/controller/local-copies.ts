/** The local copies that the controller reads, and how little of each object they keep. */
import type {
  KubernetesObject,
  MegaRayCluster,
  ObjectMeta,
  Pod,
  RayCluster,
  Service,
} from '../core/kubernetes-objects.js';
import { megaLabels } from '../core/mega/names.js';
import { annotations, labels } from '../core/names.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { Informer } from '../kubernetes/informer.js';
import { resources } from '../kubernetes/resources.js';
import type { Logger } from '../log.js';

const keptLabels: string[] = Object.values(labels);
const keptAnnotations: string[] = Object.values(annotations);

const chosen = (from: Record<string, string> | undefined, names: string[]) =>
  Object.fromEntries(Object.entries(from ?? {}).filter(([name]) => names.includes(name)));

function keepMeta(metadata: ObjectMeta): ObjectMeta {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, ownerReferences } = metadata;
  return {
    name,
    namespace,
    uid,
    ...(resourceVersion ? { resourceVersion } : {}),
    labels: chosen(metadata.labels, keptLabels),
    annotations: chosen(metadata.annotations, keptAnnotations),
    ...(creationTimestamp ? { creationTimestamp } : {}),
    ...(deletionTimestamp ? { deletionTimestamp } : {}),
    ownerReferences: (ownerReferences ?? []).filter(({ kind }) => kind === 'RayCluster'),
  };
}

export function keepPod({ metadata, spec, status }: Pod): Pod {
  const { phase, podIP, reason, message, conditions, containerStatuses, initContainerStatuses } = status ?? {};
  const statuses = (list: typeof containerStatuses) => list?.map(({ name, ready, state }) => ({ name, ready, state }));
  return {
    metadata: keepMeta(metadata),
    spec: {
      ...(spec?.restartPolicy ? { restartPolicy: spec.restartPolicy } : {}),
      ...(spec?.containers?.[0] ? { containers: [{ name: spec.containers[0].name }] } : {}),
    },
    status: {
      phase,
      podIP,
      reason,
      message,
      conditions: conditions
        ?.filter(({ type }) => type === 'Ready' || type === 'PodScheduled')
        .map(condition => ({
          type: condition.type,
          status: condition.status,
          reason: condition.reason,
          message: condition.message,
        })),
      containerStatuses: statuses(containerStatuses),
      initContainerStatuses: statuses(initContainerStatuses),
    } as Pod['status'],
  };
}

export function keepService({ metadata, spec }: Service): Service {
  const ports = spec?.ports?.map(({ name, port, nodePort }) => ({ name, port, nodePort }));
  return { metadata: keepMeta(metadata), spec: { ...spec, ports } as Service['spec'] };
}

/** All but who wrote which field. */
export function keepWhole<T extends KubernetesObject & { spec: unknown; status?: unknown }>(object: T): T {
  const { managedFields, ...metadata } = object.metadata as ObjectMeta & { managedFields?: unknown };
  return { metadata, spec: object.spec, ...(object.status ? { status: object.status } : {}) } as T;
}

export function clusterKeyOf({ metadata }: KubernetesObject): string | undefined {
  const name = metadata.labels?.[labels.cluster];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
}

/** Of a cell: its MegaRayCluster. */
export function megaKeyOf({ metadata }: KubernetesObject): string | undefined {
  const name = metadata.labels?.[megaLabels.cluster];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
}

export function localCopies(client: KubernetesClient, log: Logger, namespace: string) {
  const shared = { client, log, namespace };
  const owned = { ...shared, labelSelector: labels.cluster, ownerKey: clusterKeyOf };
  return {
    megaClusters: new Informer<MegaRayCluster>({ ...shared, resource: resources.megaRayClusters, keep: keepWhole }),
    clusters: new Informer<RayCluster>({
      ...shared,
      resource: resources.rayClusters,
      keep: keepWhole,
      ownerKey: megaKeyOf,
    }),
    pods: new Informer<Pod>({ ...owned, resource: resources.pods, keep: keepPod }),
    services: new Informer<Service>({ ...owned, resource: resources.services, keep: keepService }),
  };
}
