/** Clusters for tests of jobs: rows in the real tables, heads that the test names, states that the test sets. */
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import {
  type ClusterId,
  type Explanation,
  type LeaseId,
  type NodeId,
  type NodeResources,
  newId,
  nodeTerms,
  type TenantId,
} from '@iocloud/contracts';
import { type Clusters, type ClusterView, HeadUnavailable } from '../../clusters/ports.js';
import { type FleetNode, fleetNodeOf } from '../../core/matching/index.js';
import type { JobMachine } from '../../core/queueing/index.js';
import type { Queryable, Transaction } from '../../platform/index.js';
import type { RayHead } from './ray-head.js';

export const testRayVersion = '2.60.0';

interface TestCluster {
  view: ClusterView;
  head: Pick<RayHead, 'host' | 'port' | 'token' | 'agent' | 'jobLog'> | null;
  state: 'ready' | 'unreachable' | 'gone' | 'lost';
}

export class TestClusters implements Clusters {
  readonly clusters = new Map<ClusterId, TestCluster>();
  /** What clusters stand on, where a test says so. */
  readonly grounds = new Map<ClusterId, FleetNode>();
  /** What is asked to be provisioned, and what comes of it. */
  readonly provisioned: { tenantId: TenantId; needs: NodeResources }[] = [];
  onProvision: (tx: Transaction, tenantId: TenantId) => ReturnType<Clusters['provisionForJob']> = async () => ({
    refused: 'no machine is enrolled',
    ever: false,
  });

  /** A ready cluster on a head, or one without any that is coming up. */
  async add(
    db: Queryable,
    tenantId: TenantId,
    name: string,
    head: TestCluster['head'],
    cpus = 4,
    origin: 'user' | 'job' = 'user',
  ): Promise<ClusterId> {
    const id = newId('cluster', randomBytes);
    await db.query(
      `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token)
       VALUES ($1, $2, $3, '{}', $4, 'running', $5, '')`,
      [id, tenantId, name, origin, head ? 'ready' : 'provisioning'],
    );
    this.clusters.set(id, {
      head: null,
      state: 'ready',
      view: {
        id,
        tenantId,
        name,
        origin,
        phase: 'provisioning',
        headLeaseId: null,
        capacity: { cpus, gpus: 0, memoryBytes: 2 ** 34, resources: {} },
        saturated: false,
        nodeLabels: [{}],
        waitingFor: 'head starting',
      },
    });
    if (head) await this.ready(db, id, head);
    return id;
  }

  async ready(db: Queryable, id: ClusterId, head: NonNullable<TestCluster['head']>): Promise<void> {
    const cluster = this.of(id);
    const lease = newId('lease', randomBytes);
    const node = newId('node', randomBytes);
    await db.query('INSERT INTO nodes (id, tenant_id, name, public_key) VALUES ($1, $2, $1, $1)', [
      node,
      cluster.view.tenantId,
    ]);
    await db.query(`UPDATE leases SET released_at = now() WHERE cluster_id = $1`, [id]);
    await db.query(
      `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, cpus, memory_bytes, spec)
       VALUES ($1, $2, $3, $4, 'head', 'head', 0, 1, 0, '{}')`,
      [lease, cluster.view.tenantId, id, node],
    );
    cluster.head = head;
    cluster.state = 'ready';
    cluster.view = { ...cluster.view, phase: 'ready', headLeaseId: lease };
  }

  set(id: ClusterId, state: TestCluster['state']): void {
    const cluster = this.of(id);
    cluster.state = state;
    if (state === 'gone') cluster.view = { ...cluster.view, phase: 'provisioning' };
  }

  async live(_db: Queryable, tenantId?: TenantId): Promise<ClusterView[]> {
    return [...this.clusters.values()]
      .map(({ view, state }): ClusterView => {
        if (view.phase !== 'ready' || state === 'ready') return view;
        const waitingFor = state === 'unreachable' ? 'its head cannot be reached' : 'its head has ended';
        return { ...view, phase: 'provisioning', headLeaseId: null, waitingFor };
      })
      .filter(view => tenantId === undefined || view.tenantId === tenantId);
  }

  async hold(tx: Transaction, clusterIds: ClusterId[]): Promise<ClusterView[]> {
    return (await this.live(tx)).filter(({ id }) => clusterIds.includes(id));
  }

  async provisionForJob(tx: Transaction, tenantId: TenantId, needs: NodeResources) {
    this.provisioned.push({ tenantId, needs });
    return this.onProvision(tx, tenantId);
  }

  async headState(_db: Queryable, headLeaseId: LeaseId) {
    for (const { view, state } of this.clusters.values()) if (view.headLeaseId === headLeaseId) return state;
    return 'gone' as const;
  }

  explainForJob(): Promise<Explanation> {
    return Promise.reject(new Error('no job of these tests is explained'));
  }

  /** One machine with room for everything: what is brought up is the test's own affair. */
  async rooms(): Promise<{ machines: JobMachine[]; isPart: boolean }> {
    const machines = [
      {
        nodeId: 'nd_roomy' as NodeId,
        ownerId: 'tn_roomy' as TenantId,
        shared: true,
        schedulable: true,
        name: 'roomy',
        terms: nodeTerms.parse({}),
        reputation: 1,
        cpus: 1_000_000,
        memoryBytes: 2 ** 50,
        devices: [],
        rayVersions: [testRayVersion],
        used: { cpus: 0, memoryBytes: 0, devices: [] },
        occupants: [],
      },
    ];
    return { machines, isPart: false };
  }

  async capacity() {
    return { cpus: 1_000_000, gpus: 0, memoryBytes: 2 ** 50 };
  }

  async groundsOf(_db: Queryable, clusterIds: ClusterId[]) {
    return new Map([...this.grounds].filter(([id]) => clusterIds.includes(id)));
  }

  /** From now on the cluster stands on a machine that costs so much. */
  setPrice(id: ClusterId, microUsdPerCpuHour: number): void {
    const { tenantId, capacity } = this.of(id).view;
    const facts = { nodeId: 'nd_priced' as NodeId, ownerId: tenantId, shared: false, schedulable: true, reputation: 1 };
    const offer = { ...capacity, devices: [], rayVersions: [testRayVersion] };
    this.grounds.set(id, fleetNodeOf({ ...facts, ...offer, terms: nodeTerms.parse({ microUsdPerCpuHour }) }));
  }

  async machineOf(db: Queryable, headLeaseId: LeaseId): Promise<{ nodeId: NodeId; failed: boolean }> {
    const { rows } = await db.query<{ node_id: NodeId }>('SELECT node_id FROM leases WHERE id = $1', [headLeaseId]);
    if (!rows[0]) throw new Error(`no lease ${headLeaseId}`);
    return { nodeId: rows[0].node_id, failed: (await this.headState(db, headLeaseId)) !== 'ready' };
  }

  async head(clusterId: ClusterId) {
    const { head, state } = this.of(clusterId);
    if (state !== 'ready' || !head) throw new HeadUnavailable('offline', 'the test says so');
    return { agent: head.agent, host: head.host, headers: { Authorization: `Bearer ${head.token}` } };
  }

  async jobLog(clusterId: ClusterId, id: string, fromByte: number, follow: boolean): Promise<Readable> {
    const { head } = this.of(clusterId);
    const log = await head?.jobLog(id, fromByte, follow);
    if (!log) throw new HeadUnavailable('not-found', `no log of ${id}`);
    return log;
  }

  of(id: ClusterId): TestCluster {
    const cluster = this.clusters.get(id);
    if (!cluster) throw new Error(`no cluster ${id}`);
    return cluster;
  }
}
