/** As much of Kubernetes' objects as the provider reads, and what it marks its own by. */
import type { KubernetesObject, Pod } from '@iocloud/ray-operator';

export interface KubernetesNode extends KubernetesObject {
  spec?: { unschedulable?: boolean; taints?: { key: string; value?: string; effect: string }[] };
  status?: {
    allocatable?: Record<string, string>;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
    nodeInfo?: { osImage?: string; architecture?: string };
  };
}

export interface AnyPod extends Pod {
  spec?: NonNullable<Pod['spec']> & {
    containers?: { resources?: { requests?: Record<string, string> } }[];
    initContainers?: { restartPolicy?: string; resources?: { requests?: Record<string, string> } }[];
  };
}

export const fieldManager = 'iocloud';

export const marks = {
  provider: 'io.iocloud/provider',
  cluster: 'io.iocloud/cluster',
  tenant: 'io.iocloud/tenant',
  /** Of a pod: its lease. Of a RayCluster: that of its head. */
  lease: 'io.iocloud/lease',
  /** The machine, by its id here. */
  machine: 'io.iocloud/machine',
  /** An annotation: of what the object was last made. */
  applied: 'io.iocloud/applied',
} as const;
