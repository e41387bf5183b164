/** What the tests of the operator stand on: a bed with the operator's CRD and roles, and words for what they do there. */
import {
  collectionPath,
  isNotFound,
  type KubernetesClient,
  labels,
  type Manifest,
  type ObjectList,
  objectPath,
  type Pod,
  type RayCluster,
  type RayClusterSpec,
  resources,
} from '@iocloud/ray-operator';
import { until } from '../src/harness/processes.js';
import { Bed } from './bed.js';
import type { ControlPlane } from './control-plane.js';
import { installOperator } from './operator-process.js';
import { RealBed, rayImage } from './real-bed.js';

type GroupFields = Partial<NonNullable<RayClusterSpec['workerGroupSpecs']>[number]>;

export const template = (name: string, image = 'rayproject/ray:2.60.0') => ({
  spec: {
    containers: [{ name, image, resources: { limits: { cpu: '100m', memory: '64Mi' } } }],
    terminationGracePeriodSeconds: 1,
  },
});

/** As users write it: what the CRD fills in is left out. */
export const group = (replicas: number, fields: GroupFields = {}) => ({
  groupName: 'workers',
  replicas,
  template: template('ray-worker'),
  ...fields,
});

/** Of pods in which Ray really runs. Several share a test's machine: they ask for less than they may use. */
export const rayTemplate = (name: string) => ({
  spec: {
    containers: [
      {
        name,
        image: rayImage,
        imagePullPolicy: 'Never',
        resources: { limits: { cpu: '2', memory: '2Gi' }, requests: { cpu: '100m', memory: '512Mi' } },
      },
    ],
    terminationGracePeriodSeconds: 5,
  },
});

export const rayGroup = (replicas: number, fields: GroupFields = {}) => ({
  groupName: 'workers',
  replicas,
  rayStartParams: { 'num-cpus': '1' },
  template: rayTemplate('ray-worker'),
  ...fields,
});

export type GivenSpec = Omit<Partial<RayClusterSpec>, 'workerGroupSpecs'> & { workerGroupSpecs?: GroupFields[] };

export class Ground<B extends ControlPlane = Bed> {
  private constructor(
    readonly bed: B,
    readonly admin: KubernetesClient,
  ) {}

  static async make(nodes: number): Promise<Ground> {
    const bed = await Bed.start({ kwok: true, prepare: installOperator });
    try {
      await bed.addNodes(nodes);
      return new Ground(bed, await bed.admin());
    } catch (error) {
      await bed.stop();
      throw error;
    }
  }

  /** On nodes that are real. */
  static async real(nodes: number): Promise<Ground<RealBed>> {
    const bed = await RealBed.start({ nodes, prepare: installOperator });
    return new Ground(bed, await bed.admin());
  }

  async create(name: string, spec: GivenSpec, namespace = 'default'): Promise<RayCluster> {
    const manifest: Manifest = {
      apiVersion: 'ray.io/v1',
      kind: 'RayCluster',
      metadata: { name, namespace },
      spec: { headGroupSpec: { template: template('ray-head') }, workerGroupSpecs: [group(2)], ...spec },
    };
    return this.admin.create<RayCluster>(resources.rayClusters, manifest);
  }

  get(name: string): Promise<RayCluster> {
    return this.admin.get(objectPath(resources.rayClusters, 'default', name));
  }

  /** As `kubectl patch --type merge`. */
  change(name: string, spec: GivenSpec): Promise<RayCluster> {
    return this.admin.merge(objectPath(resources.rayClusters, 'default', name), { spec });
  }

  /** As Ray's autoscaler does it. */
  async patch(name: string, operations: { op: string; path: string; value: unknown }[]): Promise<void> {
    const args = ['--type', 'json', '-p', JSON.stringify(operations)];
    await this.bed.kubectl('patch', 'raycluster', name, ...args);
  }

  async remove(name: string): Promise<void> {
    await this.admin.delete(resources.rayClusters, await this.get(name));
  }

  async pods(cluster: string): Promise<Pod[]> {
    const query = { labelSelector: `${labels.cluster}=${cluster}` };
    return (await this.admin.get<ObjectList<Pod>>(collectionPath(resources.pods, 'default'), query)).items;
  }

  async workers(cluster: string): Promise<string[]> {
    const pods = await this.pods(cluster);
    return pods
      .filter(({ metadata }) => metadata.labels?.[labels.nodeType] === 'worker')
      .map(each => each.metadata.name);
  }

  secret(name: string): Promise<{ data: Record<string, string> }> {
    return this.admin.get(objectPath(resources.secrets, 'default', name));
  }

  /** The head pod's address. */
  async headAddress(cluster: string): Promise<string> {
    const address = (await this.get(cluster)).status?.head?.podIP;
    if (!address) throw new Error(`${cluster} has no head`);
    return address;
  }

  async condition(cluster: string, type: string) {
    return (await this.get(cluster)).status?.conditions?.find(condition => condition.type === type);
  }

  /** Until the spec as it is now has been seen, and so many pods are there, ready and none on its way out. */
  async settled(cluster: string, workers: number, timeoutMs = 30_000): Promise<RayCluster> {
    return until(`${cluster} with ${workers} workers`, timeoutMs, async () => {
      const found = await this.get(cluster);
      const { observedGeneration, readyWorkerReplicas, state } = found.status ?? {};
      if (observedGeneration !== found.metadata.generation || readyWorkerReplicas !== workers || state !== 'ready')
        return null;
      const pods = await this.pods(cluster);
      const staying = pods.filter(({ metadata }) => !metadata.deletionTimestamp);
      return staying.length === workers + 1 && pods.length === staying.length ? found : null;
    });
  }

  async gone(resource: (typeof resources)[keyof typeof resources], name: string): Promise<void> {
    await until(`${name} is gone`, 30_000, () =>
      this.admin.get(objectPath(resource, 'default', name)).then(
        () => false,
        (error: unknown) => isNotFound(error),
      ),
    );
  }

  async stop(): Promise<void> {
    await this.bed.stop();
  }
}
