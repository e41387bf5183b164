/** Finalizers of objects that others may hold, too. */
import type { KubernetesObject } from '../core/kubernetes-objects.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { objectPath, type Resource } from '../kubernetes/resources.js';

/** The list is replaced as a whole: a conflict if anybody has changed the object since it was read. */
export async function changeFinalizer(
  { client, signal }: { client: KubernetesClient; signal: AbortSignal },
  resource: Resource,
  { metadata }: KubernetesObject,
  finalizer: string,
  change: 'add' | 'remove',
): Promise<void> {
  const { name, namespace, resourceVersion, finalizers = [] } = metadata;
  const others = finalizers.filter(each => each !== finalizer);
  const body = { metadata: { resourceVersion, finalizers: change === 'add' ? [...others, finalizer] : others } };
  await client.merge(objectPath(resource, namespace, name), body, signal);
}
