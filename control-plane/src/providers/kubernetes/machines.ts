/** What a node of Kubernetes is as a machine. Pure. */
import { createHash } from 'node:crypto';
import type { Device, Inventory, NodeTerms } from '@iocloud/contracts';
import { parseQuantity } from '@iocloud/ray-operator';
import type { AnyPod, KubernetesNode } from './objects.js';

/** Pods for accelerators tolerate the taints by which their nodes are kept for such pods. */
export const acceleratorResources = { 'nvidia.com/gpu': 'nvidia', 'amd.com/gpu': 'amd' } as const;
type AcceleratorResource = keyof typeof acceleratorResources;
const resourceNames = Object.keys(acceleratorResources) as AcceleratorResource[];

export interface Offered {
  inventory: Inventory;
  isReady: boolean;
  /** Why nothing new may go there, in words that follow "in Kubernetes it"; null: something may. */
  cordon: string | null;
  /** Taints that no pod of ours tolerates from the beginning: it is not offered at all. */
  isKeptFromUs: boolean;
  terms: Partial<NodeTerms>;
}

const mostDevices = 64;

/** `foreign`: pods on the node that are not ours, with what they ask for. */
export function offeredBy(node: KubernetesNode, foreign: readonly AnyPod[], rayVersion: string): Offered {
  const { labels = {} } = node.metadata;
  const taken = foreign.map(requestsOf);
  const free = (name: string) => {
    const all = quantity(node.status?.allocatable?.[name]);
    const left = all - taken.reduce((sum, requests) => sum + quantity(requests[name]), 0n);
    return left > 0n ? left : 0n;
  };
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  const barring = (node.spec?.taints ?? []).filter(({ key, effect }) => effect !== 'PreferNoSchedule' && !isKnown(key));
  return {
    isReady: ready?.status === 'True',
    cordon: node.spec?.unschedulable ? 'is cordoned' : barring[0] ? `is tainted (${barring[0].key})` : null,
    isKeptFromUs: barring.length > 0,
    terms: placeOf(labels),
    inventory: {
      hostname: node.metadata.name,
      os: (node.status?.nodeInfo?.osImage ?? 'Kubernetes').slice(0, 64),
      arch: (node.status?.nodeInfo?.architecture ?? '').slice(0, 32),
      cpuModel: '',
      cpus: Number(free('cpu')) / 1_000,
      memoryBytes: Number(free('memory') / 1_000n),
      diskFreeBytes: Number(quantity(node.status?.allocatable?.['ephemeral-storage']) / 1_000n),
      devices: devicesOf(node, name => Number(free(name) / 1_000n)),
      rayVersions: [rayVersion],
      pythonVersion: '',
      isolation: 'container',
      isolationReason: '',
      mesh: { able: false, reason: 'it is a node of a Kubernetes cluster' },
    },
  };
}

/** States that Kubernetes itself marks by taints show in the node's conditions; the others are for accelerators. */
const isKnown = (key: string) => key.startsWith('node.kubernetes.io/') || key in acceleratorResources;

const quantity = (text: string | undefined): bigint => (text === undefined ? 0n : (parseQuantity(text) ?? 0n));

/** As the scheduler counts: containers and sidecars together, or the greatest of what runs before them. */
function requestsOf(pod: AnyPod): Record<string, string> {
  const totals = new Map<string, bigint>();
  const add = (requests: Record<string, string> = {}) => {
    for (const [name, text] of Object.entries(requests)) totals.set(name, (totals.get(name) ?? 0n) + quantity(text));
  };
  for (const container of pod.spec?.containers ?? []) add(container.resources?.requests);
  const [sidecars, before] = [true, false].map(wanted =>
    (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => (restartPolicy === 'Always') === wanted),
  );
  for (const container of sidecars ?? []) add(container.resources?.requests);
  for (const container of before ?? []) {
    for (const [name, text] of Object.entries(container.resources?.requests ?? {})) {
      const most = totals.get(name) ?? 0n;
      if (quantity(text) > most) totals.set(name, quantity(text));
    }
  }
  return Object.fromEntries([...totals].map(([name, milli]) => [name, `${milli}m`]));
}

function devicesOf(node: KubernetesNode, free: (name: AcceleratorResource) => number): Device[] {
  const devices: Device[] = [];
  for (const name of resourceNames) {
    const { model, memoryBytes } = described(name, node.metadata.labels ?? {});
    for (let count = Math.min(free(name), mostDevices - devices.length); count > 0; count -= 1) {
      const index = devices.length;
      // Which device a pod gets is the kubelet's choice: what is counted here are places, not devices.
      const uuid = createHash('sha256').update(`${node.metadata.uid}/${name}/${index}`).digest('hex').slice(0, 32);
      devices.push({ index, uuid, vendor: acceleratorResources[name], model, memoryBytes, simulated: false });
    }
  }
  return devices;
}

/** By the labels of NVIDIA's GPU feature discovery (memory in MiB) and of AMD's node labeller. */
function described(name: AcceleratorResource, labels: Record<string, string>): Pick<Device, 'model' | 'memoryBytes'> {
  if (name === 'nvidia.com/gpu') {
    const memoryMib = Number(labels['nvidia.com/gpu.memory'] ?? 0);
    const model = (labels['nvidia.com/gpu.product'] ?? name).replaceAll('-', ' ').slice(0, 128);
    return { model, memoryBytes: Number.isSafeInteger(memoryMib) ? memoryMib * 2 ** 20 : 0 };
  }
  const model = (labels['amd.com/gpu.product-name'] ?? name).replaceAll('_', ' ').slice(0, 128);
  // It writes 64G where the driver says 64 GiB.
  const [, gib = '0'] = /^(\d+)G/.exec(labels['amd.com/gpu.vram'] ?? '') ?? [];
  return { model, memoryBytes: Number(gib) * 2 ** 30 };
}

const asRegion = (text: string | undefined): string | null =>
  text !== undefined && /^[a-z0-9][a-z0-9-]{0,62}$/.test(text) ? text : null;

/** A zone is what fails as one. */
function placeOf(labels: Record<string, string>): Partial<NodeTerms> {
  return {
    region: asRegion(labels['topology.kubernetes.io/region']),
    domain: asRegion(labels['topology.kubernetes.io/zone']),
  };
}
