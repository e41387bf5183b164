/** What this process knows of one Kubernetes cluster: local copies of its nodes, its pods and our RayClusters. */
import type { ProviderId } from '@iocloud/contracts';
import {
  type Connection,
  Informer,
  isNotFound,
  KubernetesClient,
  objectPath,
  type Pod,
  type RayCluster,
  resources,
} from '@iocloud/ray-operator';
import type { Logger } from '../../platform/index.js';
import { type AnyPod, type KubernetesNode, marks } from './objects.js';

const nodes = { root: 'api/v1', plural: 'nodes' };
export const probeTimeoutMs = 3_000;
export const callTimeoutMs = 10_000;

export class Session {
  readonly client: KubernetesClient;
  readonly #nodes: Informer<KubernetesNode>;
  readonly #pods: Informer<AnyPod>;
  readonly #clusters: Informer<RayCluster>;
  #isSynced = false;
  #started: Promise<unknown> | undefined;

  constructor(
    readonly connection: Connection,
    readonly of: { providerId: ProviderId; namespace: string; nodeSelector: string },
    log: Logger,
    onChange: () => void,
  ) {
    this.client = new KubernetesClient(connection, undefined, 'iocloud-control-plane');
    const shared = { client: this.client, log: log.child({ providerId: of.providerId }) };
    const selector = of.nodeSelector === '' ? {} : { labelSelector: of.nodeSelector };
    this.#nodes = new Informer({ ...shared, ...selector, resource: nodes, namespace: '', keep: keptOfNode });
    this.#pods = new Informer({ ...shared, resource: resources.pods, namespace: '', keep: keptOfPod });
    this.#clusters = new Informer({
      ...shared,
      resource: resources.rayClusters,
      namespace: of.namespace,
      labelSelector: `${marks.provider}=${of.providerId}`,
      keep: keptOfCluster,
    });
    for (const informer of [this.#nodes, this.#clusters]) informer.onChange(onChange);
    this.#pods.onChange((_, pod) => {
      if (this.isOurs(pod)) onChange();
    });
  }

  /** Rejects where the API server does not answer. */
  async probe(): Promise<void> {
    await this.client.get('/version', {}, AbortSignal.timeout(probeTimeoutMs));
  }

  /** Whether all that is there was seen once. */
  get isSynced(): boolean {
    this.#started ??= Promise.all([this.#nodes.start(), this.#pods.start(), this.#clusters.start()]).then(() => {
      this.#isSynced = true;
    });
    return this.#isSynced;
  }

  get nodes(): KubernetesNode[] {
    return [...this.#nodes.objects.values()];
  }

  get clusters(): RayCluster[] {
    return [...this.#clusters.objects.values()];
  }

  get pods(): AnyPod[] {
    return [...this.#pods.objects.values()];
  }

  isOurs = ({ metadata }: Pod): boolean => metadata.labels?.[marks.provider] === this.of.providerId;

  /** As the API server has it now, or null. */
  async podNow(name: string): Promise<Pod | null> {
    return this.#now(objectPath(resources.pods, this.of.namespace, name));
  }

  /** Pods that carry the mark of a lease, as the API server has them now. */
  async podsNow(leaseId: string): Promise<Pod[]> {
    const path = `/api/v1/namespaces/${this.of.namespace}/pods`;
    const query = { labelSelector: `${marks.lease}=${leaseId},${marks.provider}=${this.of.providerId}` };
    return (await this.client.get<{ items: Pod[] }>(path, query, AbortSignal.timeout(callTimeoutMs))).items;
  }

  async clusterNow(name: string): Promise<RayCluster | null> {
    return this.#now(objectPath(resources.rayClusters, this.of.namespace, name));
  }

  async #now<T>(path: string): Promise<T | null> {
    try {
      return await this.client.get<T>(path, {}, AbortSignal.timeout(callTimeoutMs));
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  async stop(): Promise<void> {
    await Promise.all([this.#nodes.stop(), this.#pods.stop(), this.#clusters.stop()]);
  }
}

function keptOfNode({ metadata, spec, status }: KubernetesNode): KubernetesNode {
  const { name, namespace, uid, resourceVersion, labels } = metadata;
  return {
    metadata: { name, namespace, uid, ...(resourceVersion ? { resourceVersion } : {}), ...(labels ? { labels } : {}) },
    spec: {
      ...(spec?.unschedulable ? { unschedulable: true } : {}),
      ...(spec?.taints ? { taints: spec.taints } : {}),
    },
    status: {
      ...(status?.allocatable ? { allocatable: status.allocatable } : {}),
      conditions: (status?.conditions ?? []).filter(({ type }) => type === 'Ready'),
      ...(status?.nodeInfo ? { nodeInfo: status.nodeInfo } : {}),
    },
  };
}

function keptOfPod(pod: AnyPod): AnyPod {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, labels = {} } = pod.metadata;
  const own = Object.fromEntries(Object.entries(labels).filter(([key]) => key.startsWith('io.iocloud/')));
  const isOurs = marks.provider in own;
  const requests = (container: { restartPolicy?: string; resources?: { requests?: Record<string, string> } }) => ({
    ...(container.restartPolicy ? { restartPolicy: container.restartPolicy } : {}),
    resources: { requests: container.resources?.requests ?? {} },
  });
  const { nodeName, restartPolicy, containers, initContainers } = pod.spec ?? {};
  const { status = {} } = pod;
  return {
    metadata: {
      name,
      namespace,
      uid,
      labels: own,
      ...(resourceVersion ? { resourceVersion } : {}),
      ...(creationTimestamp ? { creationTimestamp } : {}),
      ...(deletionTimestamp ? { deletionTimestamp } : {}),
    },
    spec: {
      ...(nodeName ? { nodeName } : {}),
      ...(restartPolicy ? { restartPolicy } : {}),
      containers: (containers ?? []).map(container => ({
        name: container.name,
        ...(isOurs ? {} : requests(container as Parameters<typeof requests>[0])),
      })),
      ...(isOurs ? {} : { initContainers: (initContainers ?? []).map(requests) }),
    },
    status: isOurs ? status : { ...(status.phase ? { phase: status.phase } : {}) },
  };
}

function keptOfCluster({ metadata, spec, status }: RayCluster): RayCluster {
  const { managedFields: _, ...rest } = metadata as RayCluster['metadata'] & { managedFields?: unknown };
  return {
    metadata: rest,
    spec: {
      headGroupSpec: { template: { spec: { containers: [] } } },
      rayVersion: spec.rayVersion,
    } as RayCluster['spec'],
    ...(status ? { status } : {}),
  };
}
