/** The latest load of each cluster. */
import type { ClusterId, ClusterLoad, LeaseId, NodeId, NodeLoad, RayNodeLoad } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';
import { isSame, machineLoad, maxAgeMs } from './load.js';
import { leased } from './room.js';

/** What has not changed is written only so often: often enough not to seem out of date. */
const rewriteMs = maxAgeMs / 3;

/** The loads of these clusters that are not out of date. */
export async function loadsOf(db: Queryable, clusterIds: ClusterId[]): Promise<Map<ClusterId, ClusterLoad>> {
  if (clusterIds.length === 0) return new Map();
  const { rows } = await db.query<{ cluster_id: ClusterId; load: ClusterLoad }>(
    'SELECT cluster_id, load FROM cluster_loads WHERE cluster_id = ANY($1) AND read_at > now() - make_interval(secs => $2)',
    [clusterIds, maxAgeMs / 1_000],
  );
  return new Map(rows.map(row => [row.cluster_id, row.load]));
}

/** Writes a load unless it is as the one before. True when it was written. */
export async function writeLoad(
  db: Queryable,
  clusterId: ClusterId,
  before: ClusterLoad | null,
  load: ClusterLoad,
): Promise<boolean> {
  const age = before ? Date.parse(load.readAt) - Date.parse(before.readAt) : Number.POSITIVE_INFINITY;
  if (before && age < rewriteMs && isSame(before, load)) return false;
  await db.query(
    `INSERT INTO cluster_loads (cluster_id, load, read_at) VALUES ($1, $2, now())
     ON CONFLICT (cluster_id) DO UPDATE SET load = excluded.load, read_at = excluded.read_at`,
    [clusterId, JSON.stringify(load)],
  );
  return true;
}

/** Forgets those of clusters that are no more. */
export async function sweepLoads(db: Queryable): Promise<void> {
  await db.query(`DELETE FROM cluster_loads l USING clusters c WHERE c.id = l.cluster_id AND c.phase = 'deleted'`);
}

/** What is leased on each machine, and what of it is in use as the clusters' Ray reports. */
export async function leasedWithLoad(
  db: Queryable,
  nodeIds: NodeId[],
): Promise<Map<NodeId, { cpus: number; memoryBytes: number; devices: number[]; load: NodeLoad }>> {
  const uses = await leased(db, nodeIds);
  const { rows } = await db.query<{ id: LeaseId; node_id: NodeId; cluster_id: ClusterId }>(
    'SELECT id, node_id, cluster_id FROM leases WHERE node_id = ANY($1) AND released_at IS NULL ORDER BY id',
    [nodeIds],
  );
  const loads = await loadsOf(db, [...new Set(rows.map(row => row.cluster_id))]);
  const byLease = new Map<LeaseId, RayNodeLoad>();
  for (const { nodes } of loads.values()) for (const node of nodes) if (node.leaseId) byLease.set(node.leaseId, node);
  return new Map(
    [...uses].map(([nodeId, use]) => {
      const nodes = rows.filter(row => row.node_id === nodeId).map(row => byLease.get(row.id) ?? null);
      return [nodeId, { ...use, load: machineLoad({ cpus: use.cpus, devices: use.devices.length }, nodes) }];
    }),
  );
}
