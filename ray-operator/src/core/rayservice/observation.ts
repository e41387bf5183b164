/** What the operator can see of a RayService's surroundings, and what follows from that alone. */
import type { ServedClusterStatus } from '../../api/rayservice.js';
import type { Pod, RayCluster, RayService, Service } from '../kubernetes-objects.js';
import { annotations, labels } from '../names.js';
import { isHead, isLeaving, isReady } from '../pod-health.js';

/** What a head's Serve API says. */
export type ServeAnswer =
  | { kind: 'unasked' }
  | { kind: 'unreachable'; message: string }
  | {
      kind: 'serve';
      applications: NonNullable<ServedClusterStatus['applicationStatuses']>;
      /** Of nodes on which Serve takes requests. */
      healthyAddresses: string[];
    };

export interface ServedCluster {
  cluster: RayCluster;
  pods: Pod[];
  serve: ServeAnswer;
  /** Whether the applications as the spec has them now were sent to this head. */
  isDeployed: boolean;
}

export interface Observed {
  nowMs: number;
  problems: string[];
  /** Those that this RayService made, by name. */
  clusters: Map<string, ServedCluster>;
  services: Service[];
  /** Of the cluster's specification without what only scales it, and of all of it. */
  goal: { podSpec: string; whole: string };
  /** The applications of the spec, by name. */
  applications: string[];
}

export const namesOf = ({ status }: RayService) => ({
  active: status?.activeServiceStatus?.rayClusterName,
  pending: status?.pendingServiceStatus?.rayClusterName,
});

export const podSpecOf = ({ cluster }: ServedCluster) => cluster.metadata.annotations?.[annotations.servedSpec];

/** Serve takes requests on some nodes only: a pod is behind the serve service while its node is one of those. */
export function takesRequests(pod: Pod, { serve }: ServedCluster, excludesHead: boolean): boolean | undefined {
  if (serve.kind !== 'serve') return undefined;
  if (isHead(pod) && excludesHead) return false;
  return pod.status?.podIP !== undefined && serve.healthyAddresses.includes(pod.status.podIP);
}

export const endpointsOf = ({ pods }: ServedCluster) =>
  pods.filter(pod => pod.metadata.labels?.[labels.serve] === 'true' && isReady(pod) && !isLeaving(pod)).length;

/** Nothing is switched to a cluster before all of its applications run and one pod at least is behind its service. */
export function isServing(served: ServedCluster | undefined, { applications }: Observed): boolean {
  if (!served?.isDeployed || served.serve.kind !== 'serve') return false;
  const found = served.serve.applications;
  return applications.every(name => found[name]?.status === 'RUNNING') && endpointsOf(served) > 0;
}
