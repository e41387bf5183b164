/** Whether a Kubernetes cluster has what the provider needs of it. */
import { type KubernetesRule, kubernetesRules } from '@iocloud/contracts';
import { isNotFound, type KubernetesClient } from '@iocloud/ray-operator';

export interface Checked {
  version: string;
  /** A sentence each. */
  lacking: string[];
}

const timeoutMs = 10_000;

/** Throws ApiError where the API server does not answer. */
export async function check(client: KubernetesClient, namespace: string): Promise<Checked> {
  const signal = AbortSignal.timeout(timeoutMs);
  const { gitVersion } = await client.get<{ gitVersion: string }>('/version', {}, signal);
  const lacking = await Promise.all([
    crdLacks(client, signal),
    ...kubernetesRules.flatMap(rule => rule.verbs.map(verb => rightLacks(client, namespace, rule, verb, signal))),
  ]);
  return { version: gitVersion, lacking: lacking.filter(one => one !== null) };
}

async function crdLacks(client: KubernetesClient, signal: AbortSignal): Promise<string | null> {
  const missing = 'RayCluster of ray.io/v1 is not served: install ray-operator (docs/kubernetes.md) or KubeRay';
  try {
    const found = await client.get<{ resources: { name: string }[] }>('/apis/ray.io/v1', {}, signal);
    return found.resources.some(({ name }) => name === 'rayclusters') ? null : missing;
  } catch (error) {
    if (isNotFound(error)) return missing;
    throw error;
  }
}

async function rightLacks(
  client: KubernetesClient,
  namespace: string,
  { apiGroup, resource, scope, why }: KubernetesRule,
  verb: string,
  signal: AbortSignal,
): Promise<string | null> {
  const [name = '', subresource] = resource.split('/');
  const where = scope === 'namespace' ? { namespace } : {};
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: {
      resourceAttributes: { ...where, verb, group: apiGroup, resource: name, ...(subresource ? { subresource } : {}) },
    },
  };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const { status } = await client.post<{ status: { allowed: boolean } }>(path, review, signal);
  if (status.allowed) return null;
  const place = scope === 'namespace' ? `in the namespace ${namespace}` : 'in the whole cluster';
  return `no right to ${verb} ${resource}${apiGroup ? ` of ${apiGroup}` : ''} ${place} (${why})`;
}
