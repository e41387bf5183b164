/** As much of Kubernetes' objects as the operator reads; what it only hands through is `unknown`. */
import type { MegaRayClusterSpec, MegaRayClusterStatus } from '../api/megaraycluster.js';
import type { RayClusterSpec, RayClusterStatus } from '../api/raycluster.js';

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  name: string;
  namespace: string;
  uid: string;
  resourceVersion?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
}

export interface KubernetesObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

/** An object that does not exist yet: the API server gives it its uid. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: Partial<ObjectMeta> & { name: string; namespace: string };
  [field: string]: unknown;
}

export interface ContainerStatus {
  name: string;
  ready?: boolean;
  restartCount?: number;
  state?: {
    waiting?: { reason?: string; message?: string };
    terminated?: { reason?: string; message?: string; exitCode?: number };
  };
}

export interface Pod extends KubernetesObject {
  /** Of the containers the first is Ray's. */
  spec?: { restartPolicy?: string; nodeName?: string; containers?: { name: string }[] };
  status?: {
    phase?: string;
    podIP?: string;
    reason?: string;
    message?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

export interface Job extends KubernetesObject {
  status?: { conditions?: { type: string; status: string; reason?: string; message?: string }[] };
}

export interface Service extends KubernetesObject {
  spec?: { clusterIP?: string; type?: string; ports?: { name?: string; port: number; nodePort?: number }[] };
}

export interface RayCluster extends KubernetesObject {
  spec: RayClusterSpec;
  status?: RayClusterStatus;
}

export interface MegaRayCluster extends KubernetesObject {
  spec: MegaRayClusterSpec;
  status?: MegaRayClusterStatus;
}
