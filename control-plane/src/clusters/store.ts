/** The rows of clusters and their leases, and their form in the API. */
import type {
  Cluster,
  ClusterId,
  ClusterLease,
  ClusterPhase,
  ClusterSpec,
  Condition,
  LeaseId,
  LeasePhase,
  LeaseSpec,
  NodeId,
  TenantId,
} from '@iocloud/contracts';
import { paidUntil } from '../billing/index.js';
import { networksOf } from '../mesh/index.js';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';
import { endOf, type Spending } from './ending.js';
import type { Retries } from './facts.js';
import { loadsOf } from './load-store.js';

export type PlacedSpec = ClusterSpec & { rayVersion: string };

export interface ClusterRow {
  id: ClusterId;
  tenant_id: TenantId;
  name: string;
  spec: PlacedSpec;
  origin: 'user' | 'job';
  desired: 'running' | 'stopped' | 'deleted';
  phase: ClusterPhase;
  generation: number;
  observed_generation: number;
  conditions: Condition[];
  sealed_token: Buffer;
  retries: Retries;
  /** When each autoscaled group last grew by itself. */
  grown_at: Record<string, string>;
  created_at: Date;
  phase_since: Date | null;
  ready_at: Date | null;
  idle_since: Date | null;
  direct_busy_at: Date | null;
}

/** What the agent is told of a lease, less the token, which is sealed in the cluster's row. */
/** Without what is read with it each time it is told to its machine. */
export type StoredLeaseSpec = Omit<LeaseSpec, 'authToken' | 'contained'>;

export interface LeaseRow {
  id: LeaseId;
  tenant_id: TenantId;
  cluster_id: ClusterId;
  node_id: NodeId;
  role: 'head' | 'worker';
  group_name: string;
  ordinal: number;
  phase: LeasePhase;
  message: string;
  desired: boolean;
  undesired_revision: number | null;
  cpus: number;
  memory_bytes: number;
  spec: StoredLeaseSpec;
  simulated: boolean;
  ready_at: Date | null;
  exited_at: Date | null;
}

const noCluster = (clusterId: string) =>
  new Failure('not-found', `no cluster ${clusterId}; \`iocloud cluster list\` shows yours`);

export async function getCluster(db: Queryable, tenantId: TenantId, clusterId: ClusterId): Promise<ClusterRow> {
  const { rows } = await db.query<ClusterRow>('SELECT * FROM clusters WHERE tenant_id = $1 AND id = $2', [
    tenantId,
    clusterId,
  ]);
  if (!rows[0]) throw noCluster(clusterId);
  return rows[0];
}

export async function lockCluster(tx: Transaction, tenantId: TenantId, clusterId: ClusterId): Promise<ClusterRow> {
  const { rows } = await tx.query<ClusterRow>('SELECT * FROM clusters WHERE tenant_id = $1 AND id = $2 FOR UPDATE', [
    tenantId,
    clusterId,
  ]);
  if (!rows[0]) throw noCluster(clusterId);
  return rows[0];
}

export async function listClusters(
  db: Queryable,
  tenantId: TenantId,
  page: { after: string | undefined; limit: number; deleted: boolean },
): Promise<ClusterRow[]> {
  const { rows } = await db.query<ClusterRow>(
    `SELECT * FROM clusters c
     WHERE tenant_id = $1 AND ($4 OR phase <> 'deleted')
       AND ($2::text IS NULL
         OR (created_at, id) < (SELECT created_at, id FROM clusters WHERE tenant_id = $1 AND id = $2))
     ORDER BY created_at DESC, id DESC LIMIT $3`,
    [tenantId, page.after ?? null, page.limit, page.deleted],
  );
  return rows;
}

/** Throws Failure 'already-exists' when a live cluster of the tenant has the name. */
export async function insertCluster(
  tx: Transaction,
  cluster: {
    id: ClusterId;
    tenantId: TenantId;
    spec: PlacedSpec;
    origin: 'user' | 'job';
    sealedToken: Buffer;
    now: Date;
  },
): Promise<ClusterRow> {
  const { rows } = await tx.query<ClusterRow>(
    `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token, created_at)
     VALUES ($1, $2, $3, $4, $5, 'running', 'pending', $6, $7) ON CONFLICT DO NOTHING RETURNING *`,
    [
      cluster.id,
      cluster.tenantId,
      cluster.spec.name,
      JSON.stringify(cluster.spec),
      cluster.origin,
      cluster.sealedToken,
      cluster.now,
    ],
  );
  if (!rows[0]) {
    throw new Failure(
      'already-exists',
      `a cluster named ${cluster.spec.name} exists; choose another name or delete it`,
    );
  }
  return rows[0];
}

/** A new wish of the tenant for a cluster: the generation grows. */
export async function setWish(
  tx: Transaction,
  clusterId: ClusterId,
  wish: { desired: ClusterRow['desired']; spec: PlacedSpec },
): Promise<ClusterRow> {
  const { rows } = await tx.query<ClusterRow>(
    `UPDATE clusters SET desired = $2, spec = $3, generation = generation + 1 WHERE id = $1 RETURNING *`,
    [clusterId, wish.desired, JSON.stringify(wish.spec)],
  );
  if (!rows[0]) throw new Error(`cluster ${clusterId} is locked and yet gone`);
  return rows[0];
}

/** Leases that still hold something, of each cluster named. */
export async function leasesOf(db: Queryable, clusterIds: ClusterId[]): Promise<Map<ClusterId, LeaseRow[]>> {
  const { rows } = await db.query<LeaseRow>(
    `SELECT * FROM leases WHERE cluster_id = ANY($1) AND released_at IS NULL
     ORDER BY cluster_id, role, group_name, ordinal`,
    [clusterIds],
  );
  const byCluster = new Map<ClusterId, LeaseRow[]>(clusterIds.map(id => [id, []]));
  for (const row of rows) byCluster.get(row.cluster_id)?.push(row);
  return byCluster;
}

export const nothingSpent: Spending = { spentMicroUsd: 0, microUsdPerHour: 0 };

/** By the leases on record, those that were released included: nothing need be kept in step. */
export async function spendingOf(
  db: Queryable,
  clusterIds: ClusterId[],
  now: Date,
): Promise<(id: ClusterId) => Spending> {
  const { rows } = await db.query<{ cluster_id: ClusterId; spent: number; per_hour: number }>({
    name: 'spending-of-clusters',
    text: `SELECT cluster_id, coalesce(sum(micro_usd_per_hour) FILTER (WHERE released_at IS NULL), 0)::bigint AS per_hour,
             ceil(sum(micro_usd_per_hour * greatest(0, extract(epoch FROM coalesce(released_at, $2) - created_at)) / 3600))
               ::bigint AS spent
           FROM leases WHERE cluster_id = ANY($1) AND micro_usd_per_hour > 0 GROUP BY cluster_id`,
    values: [clusterIds, now],
  });
  const byId = new Map(rows.map(row => [row.cluster_id, { spentMicroUsd: row.spent, microUsdPerHour: row.per_hour }]));
  return id => byId.get(id) ?? nothingSpent;
}

export async function toClusters(db: Queryable, rows: ClusterRow[]): Promise<Cluster[]> {
  const ids = rows.map(row => row.id);
  const leases = await leasesOf(db, ids);
  const loads = await loadsOf(db, ids);
  const networks = await networksOf(db, ids);
  const now = new Date();
  const spending = await spendingOf(db, ids, now);
  const paid = await paidUntil(db, ids);
  return rows.map(row => ({
    id: row.id,
    spec: row.spec,
    origin: row.origin,
    desired: row.desired,
    phase: row.phase,
    generation: row.generation,
    observedGeneration: row.observed_generation,
    conditions: row.conditions,
    leases: (leases.get(row.id) ?? []).map(toLease),
    network: networks.get(row.id) ?? null,
    load: row.phase === 'ready' ? (loads.get(row.id) ?? null) : null,
    ...spending(row.id),
    endsAt: endOf(row.spec, spending(row.id), now, paid.get(row.id))?.at.toISOString() ?? null,
    dashboardPath: dashboardPath(row.id),
    createdAt: row.created_at.toISOString(),
    readyAt: row.ready_at?.toISOString() ?? null,
    idleSince: row.idle_since?.toISOString() ?? null,
  }));
}

export async function toCluster(db: Queryable, row: ClusterRow): Promise<Cluster> {
  const [cluster] = await toClusters(db, [row]);
  if (!cluster) throw new Error('one row makes one cluster');
  return cluster;
}

export const dashboardPath = (clusterId: ClusterId): string => `/clusters/${clusterId}/dashboard/`;

const toLease = (row: LeaseRow): ClusterLease => ({
  id: row.id,
  nodeId: row.node_id,
  role: row.role,
  group: row.group_name,
  ordinal: row.ordinal,
  phase: row.phase,
  message: row.message,
  simulated: row.simulated,
});
