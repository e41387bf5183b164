/** What a RayService makes: its clusters and the two services that outlive them. */
import type { Manifest, RayCluster, RayService } from '../kubernetes-objects.js';
import { annotations, labels, operatorName, ownedBy, ports } from '../names.js';
import { headService } from '../services.js';
import { canonical } from '../spec-hash.js';
import type { Observed } from './observation.js';

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

export const headServiceOf = (name: string) => `${name}-head-svc`;
export const serveServiceOf = (name: string) => `${name}-serve-svc`;

const origin = ({ metadata }: RayService) => ({
  [labels.originName]: metadata.name,
  [labels.originKind]: 'RayService',
});

export function clusterOf(service: RayService, name: string, goal: Observed['goal']): Manifest {
  const { [lastApplied]: _, ...given } = service.metadata.annotations ?? {};
  return {
    apiVersion: 'ray.io/v1',
    kind: 'RayCluster',
    metadata: {
      name,
      namespace: service.metadata.namespace,
      labels: { ...service.metadata.labels, ...origin(service) },
      annotations: { ...given, [annotations.servedSpec]: goal.podSpec, [annotations.appliedHash]: goal.whole },
      ownerReferences: [ownedBy(service, 'RayService')],
    },
    spec: service.spec.rayClusterConfig,
  };
}

interface GivenService {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: Record<string, unknown> & { ports?: Record<string, unknown>[] };
}

/** Their names stay, their selectors follow the cluster that serves. */
export function servicesOf(service: RayService, cluster: RayCluster, hash: (text: string) => string): Manifest[] {
  const { name, namespace } = service.metadata;
  const given = (service.spec.serveService ?? {}) as GivenService;
  const common = { ...origin(service), [labels.cluster]: cluster.metadata.name, [labels.createdBy]: operatorName };
  const ownerReferences = [ownedBy(service, 'RayService')];
  const head = headService(cluster);
  const container = cluster.spec.headGroupSpec.template.spec.containers[0] as {
    ports?: { name?: string; containerPort?: number }[];
  };
  const port = container.ports?.find(each => each.name === 'serve')?.containerPort ?? ports.serve;
  return [
    {
      ...head,
      metadata: {
        name: headServiceOf(name),
        namespace,
        labels: { ...head.metadata.labels, ...common },
        ownerReferences,
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: serveServiceOf(name),
        namespace,
        labels: { ...given.metadata?.labels, ...common, [labels.serve]: `${name}-serve` },
        annotations: given.metadata?.annotations ?? {},
        ownerReferences,
      },
      spec: {
        type: 'ClusterIP',
        ...given.spec,
        selector: { [labels.cluster]: cluster.metadata.name, [labels.serve]: 'true' },
        ports: given.spec?.ports ?? [{ name: 'serve', port, targetPort: port, protocol: 'TCP' }],
      },
    },
  ].map(manifest => {
    const metadata: Manifest['metadata'] = manifest.metadata;
    const marks = { ...metadata.annotations, [annotations.appliedHash]: hash(canonical(manifest)) };
    return { ...manifest, metadata: { ...metadata, annotations: marks } };
  });
}
