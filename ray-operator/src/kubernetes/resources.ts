/** The kinds of objects that the operator speaks of, and where the API server has them. */
export interface Resource {
  /** `api/v1` or `apis/GROUP/VERSION`. */
  root: string;
  plural: string;
}

export const resources = {
  megaRayClusters: { root: 'apis/mega.iocloud.io/v1alpha1', plural: 'megarayclusters' },
  rayClusters: { root: 'apis/ray.io/v1', plural: 'rayclusters' },
  pods: { root: 'api/v1', plural: 'pods' },
  services: { root: 'api/v1', plural: 'services' },
  secrets: { root: 'api/v1', plural: 'secrets' },
  events: { root: 'api/v1', plural: 'events' },
  leases: { root: 'apis/coordination.k8s.io/v1', plural: 'leases' },
  serviceAccounts: { root: 'api/v1', plural: 'serviceaccounts' },
  jobs: { root: 'apis/batch/v1', plural: 'jobs' },
  ingresses: { root: 'apis/networking.k8s.io/v1', plural: 'ingresses' },
  roles: { root: 'apis/rbac.authorization.k8s.io/v1', plural: 'roles' },
  roleBindings: { root: 'apis/rbac.authorization.k8s.io/v1', plural: 'rolebindings' },
} as const satisfies Record<string, Resource>;

const byKind: Record<string, Resource> = {
  Service: resources.services,
  Secret: resources.secrets,
  ServiceAccount: resources.serviceAccounts,
  Ingress: resources.ingresses,
  Role: resources.roles,
  RoleBinding: resources.roleBindings,
  MegaRayCluster: resources.megaRayClusters,
  RayCluster: resources.rayClusters,
  Pod: resources.pods,
  Job: resources.jobs,
};

export function resourceOf(kind: string): Resource {
  const resource = byKind[kind];
  if (!resource) throw new Error(`no resource is known for the kind ${kind}`);
  return resource;
}

/** Of one namespace, or with '' of all. */
export const collectionPath = ({ root, plural }: Resource, namespace: string) =>
  namespace === '' ? `/${root}/${plural}` : `/${root}/namespaces/${namespace}/${plural}`;

export const objectPath = (resource: Resource, namespace: string, name: string) =>
  `${collectionPath(resource, namespace)}/${name}`;
