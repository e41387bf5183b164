/** Ray's own autoscaler beside the head: it reads the RayCluster and its pods, and patches `replicas` and `workersToDelete`. */
import { authentication, merged } from './environment.js';
import type { Manifest, RayCluster } from './kubernetes-objects.js';
import * as names from './names.js';
import { gcsPort } from './ray-start.js';
import { rayContainer } from './resources.js';

export function autoscalerContainer(cluster: RayCluster, namespace: string, logs: Record<string, unknown>) {
  const options = cluster.spec.autoscalerOptions ?? {};
  const head = rayContainer(cluster.spec.headGroupSpec.template);
  const port = gcsPort(cluster.spec.headGroupSpec);
  return {
    name: 'autoscaler',
    image: options.image ?? head.image,
    ...(options.imagePullPolicy ? { imagePullPolicy: options.imagePullPolicy } : {}),
    command: ['/bin/bash', '-c', '--'],
    args: ['ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) --cluster-namespace $(RAY_CLUSTER_NAMESPACE)'],
    env: merged(options.env, [
      {
        name: 'RAY_CLUSTER_NAME',
        valueFrom: { fieldRef: { fieldPath: `metadata.labels['${names.labels.cluster}']` } },
      },
      { name: 'RAY_CLUSTER_NAMESPACE', value: namespace },
      { name: 'RAY_HEAD_POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'RAY_ADDRESS', value: `127.0.0.1:${port}` },
      { name: 'KUBERAY_CRD_VER', value: 'v1' },
      ...(options.version === 'v2' ? [{ name: 'RAY_enable_autoscaler_v2', value: '1' }] : []),
      ...authentication(cluster),
    ]),
    ...(options.envFrom ? { envFrom: options.envFrom } : {}),
    resources: options.resources ?? {
      requests: { cpu: '500m', memory: '512Mi' },
      limits: { cpu: '500m', memory: '512Mi' },
    },
    ...(options.securityContext ? { securityContext: options.securityContext } : {}),
    volumeMounts: [logs, ...(options.volumeMounts ?? [])],
  };
}

/** An account that can do what the autoscaler does, in its namespace, and to no other cluster than its own. */
export function autoscalerAccess(cluster: RayCluster): Manifest[] {
  if (cluster.spec.enableInTreeAutoscaling !== true) return [];
  const given = (cluster.spec.headGroupSpec.template.spec as { serviceAccountName?: string }).serviceAccountName;
  const name = names.autoscalerAccountName(cluster.metadata.name);
  const metadata = {
    name,
    namespace: cluster.metadata.namespace,
    labels: names.commonLabels(cluster),
    ownerReferences: [names.ownedBy(cluster)],
  };
  const rbac = 'rbac.authorization.k8s.io';
  return [
    // Whoever names an account of their own keeps it; it gets the rights.
    ...(given ? [] : [{ apiVersion: 'v1', kind: 'ServiceAccount', metadata }]),
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch'] },
        {
          apiGroups: ['ray.io'],
          resources: ['rayclusters'],
          resourceNames: [cluster.metadata.name],
          verbs: ['get', 'patch'],
        },
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: rbac, kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name: given ?? name, namespace: cluster.metadata.namespace }],
    },
  ];
}
