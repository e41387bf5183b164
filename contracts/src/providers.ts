/** Kubernetes clusters whose nodes are machines, beside those on which an agent runs. */
import { z } from 'zod';
import { providerId } from './ids.js';
import { microUsd, region } from './requirements.js';

/** Kubernetes' names of namespaces, services and the like (RFC 1123). */
const dnsLabel = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and hyphens');

const pem = z.string().min(1).max(100_000);

/** What a request to the API server proves itself with. */
export const kubernetesCredentials = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('token'), token: z.string().min(1).max(20_000) }),
  z.strictObject({ type: z.literal('certificate'), certificate: pem, key: pem }),
]);
export type KubernetesCredentials = z.infer<typeof kubernetesCredentials>;

/** `{version}` in an image stands for the Ray release that a cluster asks for. */
export const defaultRayImage = 'rayproject/ray:{version}';

export const addProvider = z
  .strictObject({
    kind: z.literal('kubernetes').default('kubernetes'),
    name: region.describe('the beginning of the names of its machines'),
    /** Absent with `inCluster`. */
    access: z
      .strictObject({
        server: z.url({ protocol: /^https$/ }).max(2_000),
        certificateAuthority: pem.optional().describe('PEM; absent: those that every system trusts'),
        credentials: kubernetesCredentials,
      })
      .optional()
      .describe('absent: the control plane runs in this cluster and uses its own account (operators alone)'),
    namespace: dnsLabel.default('default').describe('where Ray clusters are made'),
    image: z.string().min(1).max(500).default(defaultRayImage),
    nodeSelector: z
      .string()
      .max(500)
      .default('')
      .describe('labels of the nodes that are offered, as kubectl -l takes them'),
    shared: z.boolean().default(false).describe('offer the machines to other tenants too'),
    microUsdPerGpuHour: microUsd.default(0),
    microUsdPerCpuHour: microUsd.default(0),
  })
  .meta({ id: 'AddProvider' });
export type AddProvider = z.infer<typeof addProvider>;

export const provider = z
  .object({
    id: providerId,
    kind: z.literal('kubernetes'),
    name: z.string(),
    server: z.string().nullable().describe('null: the cluster that the control plane itself runs in'),
    namespace: z.string(),
    image: z.string(),
    nodeSelector: z.string(),
    shared: z.boolean(),
    state: z.enum(['connecting', 'connected', 'unreachable']),
    message: z.string().describe('why it is not connected, in words'),
    kubernetesVersion: z.string(),
    lacking: z.array(z.string()).describe('what it was found to lack when it was looked at last, a sentence each'),
    machines: z.int().min(0),
    /** What no check can show of machines without an agent. */
    unproven: z.array(z.string()),
    heardAt: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Provider' });
export type Provider = z.infer<typeof provider>;

/** What of a Kubernetes node nothing proves; shown with every provider. */
export const unprovenOfKubernetes = [
  'its devices: no challenge can be run on a node, so where proofs are required its machines are their owner’s alone',
  'how pods are kept apart: network policies hold only where the network plugin enforces them',
  'what its pods use: processor time, memory and egress are not counted; time leased is',
];

export interface KubernetesRule {
  apiGroup: string;
  resource: string;
  verbs: readonly string[];
  /** In its namespace alone, or in the whole cluster. */
  scope: 'namespace' | 'cluster';
  why: string;
}

/** All that the provider ever asks of the API server; the role that is printed and the check of the rights come from it. */
export const kubernetesRules: readonly KubernetesRule[] = [
  { apiGroup: '', resource: 'nodes', verbs: ['list', 'watch'], scope: 'cluster', why: 'nodes are the machines' },
  {
    apiGroup: '',
    resource: 'pods',
    verbs: ['list', 'watch'],
    scope: 'cluster',
    why: 'what other pods hold of a node is not offered',
  },
  { apiGroup: '', resource: 'pods', verbs: ['get'], scope: 'namespace', why: 'to be sure that a pod has gone' },
  {
    apiGroup: '',
    resource: 'pods/portforward',
    // A WebSocket begins with a GET, and newer API servers ask for the right to create as well.
    verbs: ['get', 'create'],
    scope: 'namespace',
    why: "to reach a head's dashboard, Jobs API and GCS",
  },
  {
    apiGroup: '',
    resource: 'pods/exec',
    verbs: ['get', 'create'],
    scope: 'namespace',
    why: "to read drivers' logs byte by byte",
  },
  { apiGroup: '', resource: 'secrets', verbs: ['create', 'patch'], scope: 'namespace', why: 'Ray tokens' },
  {
    apiGroup: 'networking.k8s.io',
    resource: 'networkpolicies',
    verbs: ['create', 'patch'],
    scope: 'namespace',
    why: 'to keep clusters apart',
  },
  {
    apiGroup: 'ray.io',
    resource: 'rayclusters',
    verbs: ['create', 'patch', 'delete', 'get', 'list', 'watch'],
    scope: 'namespace',
    why: 'clusters are RayCluster objects',
  },
];

/** The least rights that will do, with an account of its own and a token, as YAML for `kubectl apply`. */
export function kubernetesManifest(namespace: string): string {
  const name = 'iocloud-provider';
  const rules = (scope: KubernetesRule['scope']) =>
    kubernetesRules
      .filter(rule => rule.scope === scope)
      .map(
        ({ apiGroup, resource, verbs, why }) =>
          `  # ${why}\n  - apiGroups: [${JSON.stringify(apiGroup)}]\n    resources: [${resource}]\n    verbs: [${verbs.join(', ')}]`,
      )
      .join('\n');
  const meta = (of: string, namespaced: boolean) =>
    `metadata:\n  name: ${of}${namespaced ? `\n  namespace: ${namespace}` : ''}`;
  const subjects = `subjects:\n  - kind: ServiceAccount\n    name: ${name}\n    namespace: ${namespace}`;
  const group = 'rbac.authorization.k8s.io';
  const roleRef = (kind: string, of: string) => `roleRef:\n  apiGroup: ${group}\n  kind: ${kind}\n  name: ${of}`;
  // What reaches beyond the namespace has the namespace in its name: two providers in a cluster do not share it.
  const wide = `${name}-${namespace}`;
  return `${[
    `apiVersion: v1\nkind: ServiceAccount\n${meta(name, true)}`,
    `# Its token: kubectl -n ${namespace} get secret ${name} -o jsonpath='{.data.token}' | base64 -d\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/service-account-token\n${meta(name, true)}\n  annotations:\n    kubernetes.io/service-account.name: ${name}`,
    `apiVersion: ${group}/v1\nkind: ClusterRole\n${meta(wide, false)}\nrules:\n${rules('cluster')}`,
    `apiVersion: ${group}/v1\nkind: ClusterRoleBinding\n${meta(wide, false)}\n${roleRef('ClusterRole', wide)}\n${subjects}`,
    `apiVersion: ${group}/v1\nkind: Role\n${meta(name, true)}\nrules:\n${rules('namespace')}`,
    `apiVersion: ${group}/v1\nkind: RoleBinding\n${meta(name, true)}\n${roleRef('Role', name)}\n${subjects}`,
  ].join('\n---\n')}\n`;
}
