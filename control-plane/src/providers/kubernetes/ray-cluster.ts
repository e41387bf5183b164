/** The objects of a cluster: its RayCluster, its token, its network policy. Pure. */
import { createHash } from 'node:crypto';
import type { LeaseSpec, NodeId, ProviderId, TenantId } from '@iocloud/contracts';
import { type Manifest, type RayClusterSpec, type Resource, tokenKey } from '@iocloud/ray-operator';
import { marks } from './objects.js';

export const networkPolicies: Resource = { root: 'apis/networking.k8s.io/v1', plural: 'networkpolicies' };

/** Where a lease goes. */
export interface Target {
  nodeId: NodeId;
  /** The node's name in Kubernetes. */
  node: string;
  /** Of its accelerators, such as nvidia.com/gpu. */
  acceleratorResource: string;
}

export interface Placed {
  lease: LeaseSpec;
  target: Target;
}

export interface Settings {
  providerId: ProviderId;
  namespace: string;
  image: string;
}

/** Ids have one underscore, and names of objects have none. */
const bare = (id: string) => id.slice(id.indexOf('_') + 1);
/** A lease is started once, and so is the RayCluster that is named after its head's. */
export const clusterName = (headLeaseId: string): string => `io-${bare(headLeaseId)}`;
const groupName = (leaseId: string): string => `w-${bare(leaseId)}`;

export interface WantedCluster {
  name: string;
  rayCluster: Manifest;
  /** What `rayCluster` says, so that what is as it shall be is not written again. */
  hash: string;
  token: string;
  tenantId: TenantId;
  head: LeaseSpec;
}

/** Each worker is a group of its own: it is pinned to its machine and ends with its lease, and no other pod takes its place. */
export function wantedCluster(head: Placed, workers: Placed[], tenantId: TenantId, settings: Settings): WantedCluster {
  const name = clusterName(head.lease.leaseId);
  const spec = {
    rayVersion: head.lease.rayVersion,
    authOptions: { mode: 'token', secretName: name },
    headGroupSpec: groupOf(head, tenantId, settings),
    workerGroupSpecs: [...workers]
      .sort((one, other) => (one.lease.leaseId < other.lease.leaseId ? -1 : 1))
      .map(worker => ({
        groupName: groupName(worker.lease.leaseId),
        replicas: 1,
        minReplicas: 1,
        maxReplicas: 1,
        ...groupOf(worker, tenantId, settings),
      })),
  };
  const hash = createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 32);
  const rayCluster: Manifest = {
    apiVersion: 'ray.io/v1',
    kind: 'RayCluster',
    metadata: {
      name,
      namespace: settings.namespace,
      labels: marksOf(head, tenantId, settings),
      annotations: { [marks.applied]: hash },
    },
    spec: spec as unknown as RayClusterSpec,
  };
  return { name, rayCluster, hash, token: head.lease.authToken, tenantId, head: head.lease };
}

const marksOf = ({ lease, target }: Placed, tenantId: TenantId, settings: Settings) => ({
  [marks.provider]: settings.providerId,
  [marks.cluster]: lease.clusterId,
  [marks.tenant]: tenantId,
  [marks.lease]: lease.leaseId,
  [marks.machine]: target.nodeId,
});

function groupOf(placed: Placed, tenantId: TenantId, settings: Settings) {
  const { lease, target } = placed;
  const labels = Object.entries(lease.labels);
  const own = Object.fromEntries(labels.filter(([key]) => !isRayLabel(key)));
  const custom = Object.entries(lease.resources).map(([resource, amount]) => [resource, String(amount)]);
  return {
    rayStartParams: {
      'num-cpus': String(Math.floor(lease.cpus)),
      'num-gpus': String(lease.deviceIndices.length),
      'disable-usage-stats': 'true',
    },
    ...(Object.keys(own).length > 0 ? { labels: own } : {}),
    ...(custom.length > 0 ? { resources: Object.fromEntries(custom) } : {}),
    template: {
      metadata: { labels: marksOf(placed, tenantId, settings) },
      spec: {
        containers: [
          {
            name: lease.role === 'head' ? 'ray-head' : 'ray-worker',
            image: settings.image.replaceAll('{version}', lease.rayVersion),
            env: environmentOf(lease),
            resources: resourcesOf(lease, target),
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          },
        ],
        // A Ray node that has ended stays so: its lease is never started twice.
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 5,
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
        tolerations: lease.deviceIndices.length > 0 ? [{ key: target.acceleratorResource, operator: 'Exists' }] : [],
        affinity: pinnedTo(target.node),
      },
    },
  };
}

/** Ray refuses these on its command line, and takes them from the environment. */
const isRayLabel = (key: string): boolean => key.startsWith('ray.io/');

function environmentOf(lease: LeaseSpec): { name: string; value: string }[] {
  const rayLabels = Object.entries(lease.labels).filter(([key]) => isRayLabel(key));
  return [
    // How the head names this Ray node in its own resource state.
    { name: 'RAY_CLOUD_INSTANCE_ID', value: lease.leaseId },
    { name: 'RAY_NODE_TYPE_NAME', value: lease.group },
    { name: 'RAY_USAGE_STATS_ENABLED', value: '0' },
    { name: 'RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S', value: '0' },
    ...(rayLabels.length > 0
      ? [{ name: 'RAY_OVERRIDE_LABELS', value: JSON.stringify(Object.fromEntries(rayLabels)) }]
      : []),
  ];
}

function resourcesOf(lease: LeaseSpec, target: Target) {
  const devices = lease.deviceIndices.length;
  const amounts = {
    ...(lease.cpus > 0 ? { cpu: `${Math.round(lease.cpus * 1_000)}m` } : {}),
    ...(lease.memoryBytes === null ? {} : { memory: String(lease.memoryBytes) }),
    ...(devices > 0 ? { [target.acceleratorResource]: String(devices) } : {}),
  };
  return { limits: amounts, requests: amounts };
}

const pinnedTo = (node: string) => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
    },
  },
});

/** What goes with a RayCluster that exists, and by its owner references goes when it does. */
export function companions(wanted: WantedCluster, uid: string, settings: Settings): [Resource, Manifest][] {
  const { labels = {} } = wanted.rayCluster.metadata;
  const metadata = {
    name: wanted.name,
    namespace: settings.namespace,
    labels,
    ownerReferences: [{ apiVersion: 'ray.io/v1', kind: 'RayCluster', name: wanted.name, uid }],
  };
  const own = { podSelector: { matchLabels: { [marks.cluster]: wanted.head.clusterId } } };
  return [
    [
      { root: 'api/v1', plural: 'secrets' },
      { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', stringData: { [tokenKey]: wanted.token } },
    ],
    [
      networkPolicies,
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata,
        spec: {
          podSelector: own.podSelector,
          policyTypes: ['Ingress', 'Egress'],
          // Port forwarding comes from inside the pod's own network and is no ingress.
          ingress: [{ from: [own] }],
          egress: [
            { to: [own] },
            { ports: ['UDP', 'TCP'].map(protocol => ({ protocol, port: 53 })) },
            { to: [internet('0.0.0.0/0', privateIpv4), internet('::/0', privateIpv6)] },
          ],
        },
      },
    ],
  ];
}

const internet = (cidr: string, except: string[]) => ({ ipBlock: { cidr, except } });
/** What lies beside the pods: other pods, services, nodes, the cloud's metadata. */
const privateIpv4 = ['10.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16'];
const privateIpv6 = ['fc00::/7', 'fe80::/10'];
