/** The way to a head's dashboard from outside, for whatever Ingress controller is there: `headGroupSpec.enableIngress`. */
import type { Manifest, RayCluster } from './kubernetes-objects.js';
import * as names from './names.js';
import { headPorts } from './services.js';

const classAnnotation = 'kubernetes.io/ingress.class';
/** What kubectl keeps on the RayCluster is about that object and would mislead it here. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** Settings of the controller are annotations of the RayCluster, as KubeRay has it. */
export function headIngress(cluster: RayCluster): Manifest[] {
  if (cluster.spec.headGroupSpec.enableIngress !== true) return [];
  const { [classAnnotation]: className, [lastApplied]: _, ...annotations } = cluster.metadata.annotations ?? {};
  const { name, namespace } = cluster.metadata;
  const port = headPorts(cluster).find(each => each.name === 'dashboard')?.port ?? names.ports.dashboard;
  const service = { name: names.headServiceName(name), port: { number: port } };
  return [
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: {
        name: names.headIngressName(name),
        namespace,
        labels: {
          ...names.commonLabels(cluster),
          [names.labels.identifier]: `${name}-head`,
        },
        annotations,
        ownerReferences: [names.ownedBy(cluster)],
      },
      spec: {
        // The API server refuses an Ingress that has its class as annotation and as field.
        ...(className === undefined ? {} : { ingressClassName: className }),
        rules: [
          {
            http: {
              // A pattern: ingress-nginx takes one only where the type leaves it to the controller.
              paths: [{ path: `/${name}/(.*)`, pathType: 'ImplementationSpecific', backend: { service } }],
            },
          },
        ],
      },
    },
  ];
}
