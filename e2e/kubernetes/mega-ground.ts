/** What the tests of MegaRayClusters stand on: two Kubernetes clusters, the second a member of the first. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  collectionPath,
  type KubernetesClient,
  type MegaRayCluster,
  type MegaRayClusterSpec,
  megaLabels,
  type ObjectList,
  objectPath,
  type RayCluster,
  resources,
} from '@iocloud/ray-operator';
import { until } from '../src/harness/processes.js';
import { Bed } from './bed.js';
import { group, template } from './ground.js';
import { installOperator, OperatorProcess, operatorDirectory, operatorNamespace } from './operator-process.js';

type Given<T> = { [K in keyof T]?: T[K] };
type GivenGroup = Given<MegaRayClusterSpec['cellGroups'][number]>;

/** A head and one worker in each cell. */
export const cellGroup = (fields: Omit<GivenGroup, 'template'> = {}, headImage?: string) => ({
  name: 'small',
  template: { spec: { headGroupSpec: { template: template('ray-head', headImage) }, workerGroupSpecs: [group(1)] } },
  ...fields,
});

export type MegaSpec = Omit<Given<MegaRayClusterSpec>, 'cellGroups' | 'health'> & {
  cellGroups?: ReturnType<typeof cellGroup>[];
  health?: Given<NonNullable<MegaRayClusterSpec['health']>>;
};

/** As users judge it from outside. */
export const isWhole = ({ metadata, status }: RayCluster) =>
  !metadata.deletionTimestamp &&
  status?.state === 'ready' &&
  status.conditions?.some(({ type, status: is }) => type === 'HeadPodReady' && is === 'True') === true &&
  (status.readyWorkerReplicas ?? 0) >= (status.desiredWorkerReplicas ?? 1);

export class MegaGround {
  private constructor(
    readonly home: Bed,
    readonly admin: KubernetesClient,
    readonly west: Bed,
    readonly westAdmin: KubernetesClient,
    private readonly membersDirectory: string,
  ) {}

  static async make(): Promise<MegaGround> {
    const beds = await Promise.allSettled(
      [6, 3].map(async nodes => {
        const bed = await Bed.start({ kwok: true, prepare: installOperator });
        await bed.addNodes(nodes);
        return bed;
      }),
    );
    const [home, west] = beds.map(bed => (bed.status === 'fulfilled' ? bed.value : undefined));
    try {
      if (!home || !west) throw beds.find(bed => bed.status === 'rejected')?.reason;
      return new MegaGround(home, await home.admin(), west, await west.admin(), await member(home, west));
    } catch (error) {
      await Promise.all([home?.stop(), west?.stop()]);
      throw error;
    }
  }

  startHome(): Promise<OperatorProcess> {
    return OperatorProcess.start(this.home, { RAY_OPERATOR_MEMBERS_DIR: this.membersDirectory });
  }

  async create(name: string, spec: MegaSpec): Promise<MegaRayCluster> {
    return this.admin.create<MegaRayCluster>(resources.megaRayClusters, {
      apiVersion: 'mega.iocloud.io/v1alpha1',
      kind: 'MegaRayCluster',
      metadata: { name, namespace: 'default' },
      spec: { cellGroups: [cellGroup()], ...spec },
    });
  }

  get(name: string): Promise<MegaRayCluster> {
    return this.admin.get(objectPath(resources.megaRayClusters, 'default', name));
  }

  /** As `kubectl patch --type merge`. */
  change(name: string, spec: MegaSpec): Promise<MegaRayCluster> {
    return this.admin.merge(objectPath(resources.megaRayClusters, 'default', name), { spec });
  }

  async remove(name: string): Promise<void> {
    await this.admin.delete(resources.megaRayClusters, await this.get(name));
  }

  async cells(name: string, admin = this.admin): Promise<RayCluster[]> {
    const query = { labelSelector: `${megaLabels.cluster}=${name}` };
    return (await admin.get<ObjectList<RayCluster>>(collectionPath(resources.rayClusters, 'default'), query)).items;
  }

  async condition(name: string, type: string) {
    return (await this.get(name)).status?.conditions?.find(condition => condition.type === type);
  }

  /** Until the spec as it is now is carried out: so many cells, all new and ready, and nothing more to do. */
  async settled(name: string, cells: number, timeoutMs = 60_000): Promise<MegaRayCluster> {
    return until(`${name} with ${cells} cells`, timeoutMs, async () => {
      const found = await this.get(name);
      const { observedGeneration, replicas, readyReplicas, updatedReplicas, conditions } = found.status ?? {};
      if (observedGeneration !== found.metadata.generation) return null;
      if ([replicas, readyReplicas, updatedReplicas].some(count => count !== cells)) return null;
      const isDone = conditions?.some(({ type, reason }) => type === 'Progressing' && reason === 'Complete');
      return isDone ? found : null;
    });
  }

  async stop(): Promise<void> {
    await Promise.all([this.home.stop(), this.west.stop()]);
  }
}

/** What the watch of the cells shows, event by event: the least that were whole and the most that there were. */
export class CellWatch {
  private readonly cells = new Map<string, RayCluster>();
  private readonly over = new AbortController();
  private running: Promise<void> = Promise.resolve();
  leastWhole = Number.POSITIVE_INFINITY;
  most = 0;

  static async start(client: KubernetesClient, name: string): Promise<CellWatch> {
    const watch = new CellWatch();
    const path = collectionPath(resources.rayClusters, 'default');
    const query = { labelSelector: `${megaLabels.cluster}=${name}` };
    const { items, metadata } = await client.get<ObjectList<RayCluster>>(path, query);
    for (const cell of items) watch.cells.set(cell.metadata.name, cell);
    watch.count();
    const { resourceVersion } = metadata;
    const stream = await client.watch(path, { ...query, resourceVersion }, watch.over.signal);
    watch.running = (async () => {
      for await (const line of stream) {
        const { type, object } = JSON.parse(line) as { type: string; object: RayCluster };
        if (type === 'DELETED') watch.cells.delete(object.metadata.name);
        else watch.cells.set(object.metadata.name, object);
        watch.count();
      }
    })().catch((error: unknown) => {
      if (!watch.over.signal.aborted) throw error;
    });
    return watch;
  }

  async stop(): Promise<void> {
    this.over.abort();
    await this.running;
  }

  private count(): void {
    this.most = Math.max(this.most, this.cells.size);
    this.leastWhole = Math.min(this.leastWhole, [...this.cells.values()].filter(isWhole).length);
  }
}

/** As an administrator makes a member: a service account there with the roles in config/member, its kubeconfig here. */
async function member(home: Bed, west: Bed): Promise<string> {
  await west.apply(`${operatorDirectory}config/member/role.yaml`);
  const account = await west.serviceAccount(operatorNamespace, 'ray-operator-of-cells');
  const directory = account.RAY_OPERATOR_SERVICE_ACCOUNT_DIR ?? '';
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'west',
    contexts: [{ name: 'west', context: { cluster: 'west', user: 'cells' } }],
    clusters: [{ name: 'west', cluster: { server: west.server, 'certificate-authority': join(directory, 'ca.crt') } }],
    users: [{ name: 'cells', user: { token: await readFile(join(directory, 'token'), 'utf8') } }],
  };
  const members = join(home.directory, 'members');
  await mkdir(members);
  await writeFile(join(members, 'west.kubeconfig'), JSON.stringify(kubeconfig), { mode: 0o600 });
  return members;
}
