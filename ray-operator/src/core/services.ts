/** The services of a cluster. */
import type { Manifest, RayCluster } from './kubernetes-objects.js';
import * as names from './names.js';
import { gcsPort } from './ray-start.js';

const headSelector = (cluster: RayCluster) => ({
  [names.labels.cluster]: cluster.metadata.name,
  [names.labels.nodeType]: 'head',
  [names.labels.identifier]: `${cluster.metadata.name}-head`,
});

interface Port {
  name?: string;
  port: number;
  [field: string]: unknown;
}

interface GivenService {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: Record<string, unknown> & { ports?: Port[] };
}

export function headPorts(cluster: RayCluster): Port[] {
  const container = cluster.spec.headGroupSpec.template.spec.containers[0] as { ports?: Record<string, unknown>[] };
  const declared = (container.ports ?? []).filter(({ name }) => typeof name === 'string');
  const ports: [name: string, port: number][] =
    declared.length > 0
      ? declared.map(({ name, containerPort }) => [name as string, Number(containerPort)])
      : [
          ['gcs-server', Number(gcsPort(cluster.spec.headGroupSpec))],
          ['dashboard', names.ports.dashboard],
          ['client', names.ports.client],
          ['serve', names.ports.serve],
        ];
  if (!ports.some(([name]) => name === 'metrics')) ports.push(['metrics', names.ports.metrics]);
  return ports.map(([name, port]) => ({ name, port, targetPort: port, protocol: 'TCP', appProtocol: 'tcp' }));
}

export function headService(cluster: RayCluster): Manifest {
  const { headGroupSpec, headServiceAnnotations } = cluster.spec;
  const given = (headGroupSpec.headService ?? {}) as GivenService;
  const type = given.spec?.type ?? headGroupSpec.serviceType ?? 'ClusterIP';
  const ports = headPorts(cluster);
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: names.headServiceName(cluster.metadata.name),
      namespace: cluster.metadata.namespace,
      labels: {
        ...given.metadata?.labels,
        ...names.commonLabels(cluster),
        [names.labels.nodeType]: 'head',
        [names.labels.identifier]: `${cluster.metadata.name}-head`,
      },
      annotations: { ...given.metadata?.annotations, ...headServiceAnnotations },
      ownerReferences: [names.ownedBy(cluster)],
    },
    spec: {
      // One pod stands behind it: its own address serves, and no virtual one is spent.
      ...(type === 'ClusterIP' ? { clusterIP: 'None' } : {}),
      ...given.spec,
      type,
      selector: headSelector(cluster),
      ports: [
        ...ports.filter(port => !given.spec?.ports?.some(each => each.name === port.name || each.port === port.port)),
        ...(given.spec?.ports ?? []),
      ],
      // Workers wait for the head by this name while it is not ready yet.
      publishNotReadyAddresses: true,
    },
  };
}

/** For groups whose replicas have several hosts: each gets a name of its own. */
export function headlessService(cluster: RayCluster): Manifest | undefined {
  if (!(cluster.spec.workerGroupSpecs ?? []).some(group => group.numOfHosts > 1)) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: names.headlessServiceName(cluster.metadata.name),
      namespace: cluster.metadata.namespace,
      labels: names.commonLabels(cluster),
      annotations: {},
      ownerReferences: [names.ownedBy(cluster)],
    },
    spec: {
      clusterIP: 'None',
      selector: { [names.labels.cluster]: cluster.metadata.name, [names.labels.nodeType]: 'worker' },
      publishNotReadyAddresses: true,
    },
  };
}
