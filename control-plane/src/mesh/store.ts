/** The rows of networks' members. */
import type { ClusterId, MeshPath, NodeId } from '@iocloud/contracts';
import { groupsInOrderOf, inOrderOf, lookUp, type Queryable, type Transaction } from '../platform/index.js';

export interface MemberRow {
  cluster_id: ClusterId;
  node_id: NodeId;
  slot: number;
  public_key: string | null;
  listen_port: number | null;
  endpoints: string[];
  remote_address: string | null;
  observed: Record<NodeId, string>;
  paths: { slot: number; path: MeshPath }[];
  /** It has a seat, and its provider's own network. */
  is_attended: boolean;
}

/** Any constant will do, as long as every replica takes the same. */
const membersLock = 7_265_030;

/** Whoever changes members waits here, and not for rows that others hold in another order. */
export async function lockMembers(tx: Transaction): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [membersLock]);
}

const columns =
  'm.cluster_id, m.node_id, m.slot, m.public_key, m.listen_port, m.endpoints, m.remote_address, m.observed, m.paths, ' +
  '(SELECT provider_id IS NOT NULL FROM nodes n WHERE n.id = m.node_id) AS is_attended';

/** Those that belong to these networks now. */
export async function membersOf(db: Queryable, clusterIds: ClusterId[]): Promise<MemberRow[]> {
  const { rows } = await db.query<MemberRow>({
    name: 'mesh-members',
    text: `SELECT ${columns} FROM mesh_members m WHERE m.cluster_id = ANY($1) AND m.left_at IS NULL
           ORDER BY m.cluster_id, m.slot`,
    values: [clusterIds],
  });
  return rows;
}

interface PartRow {
  id: NodeId;
  relay_address: string | null;
  able: boolean;
  cluster_id: ClusterId | null;
}

/** The networks that a machine belongs to, and what its owner says of relaying; one row with nulls where it has none. */
export const partsOf = lookUp<NodeId, PartRow[]>(async (db, nodeIds) => {
  const { rows } = await db.query<PartRow>({
    name: 'mesh-parts',
    text: `SELECT n.id, n.terms->>'relayAddress' AS relay_address,
             coalesce((n.inventory->'mesh'->>'able')::boolean, false) AS able, m.cluster_id
           FROM nodes n LEFT JOIN mesh_members m ON m.node_id = n.id AND m.left_at IS NULL
           WHERE n.id = ANY($1) AND n.removed_at IS NULL`,
    values: [nodeIds],
  });
  return groupsInOrderOf(nodeIds, rows, row => row.id);
});

export interface HelperRow {
  cluster_id: ClusterId;
  node_id: NodeId;
  relay_address: string;
  observer_key: string | null;
}

/** The helpers of these clusters that are of use now. */
export async function helpersOf(db: Queryable, clusterIds: ClusterId[]): Promise<Map<ClusterId, HelperRow>> {
  const { rows } = await db.query<HelperRow>({
    name: 'mesh-helpers',
    text: `SELECT h.cluster_id, h.node_id, n.terms->>'relayAddress' AS relay_address, n.observer_key
           FROM mesh_helpers h JOIN nodes n ON n.id = h.node_id
           WHERE h.cluster_id = ANY($1) AND n.removed_at IS NULL AND n.online AND n.terms->>'relayAddress' IS NOT NULL`,
    values: [clusterIds],
  });
  return new Map(rows.map(row => [row.cluster_id, row]));
}

/**
 * Gives the cluster a helper where it has none that is of use: one of its tenant's, else one that is shared; among several
 * each cluster has its own order, so that they share the load. Returns its node if this call chose it.
 */
export async function chooseHelper(tx: Transaction, clusterId: ClusterId): Promise<NodeId | null> {
  if ((await helpersOf(tx, [clusterId])).has(clusterId)) return null;
  const { rows } = await tx.query<{ node_id: NodeId }>(
    `INSERT INTO mesh_helpers (cluster_id, node_id)
     SELECT c.id, n.id FROM clusters c JOIN nodes n ON n.tenant_id = c.tenant_id OR n.shared
     WHERE c.id = $1 AND n.online AND n.removed_at IS NULL AND n.terms->>'relayAddress' IS NOT NULL
       AND n.inventory->'mesh'->>'able' = 'true' AND EXISTS (SELECT 1 FROM mesh_members m JOIN nodes o ON o.id = m.node_id
         WHERE m.cluster_id = c.id AND m.left_at IS NULL AND o.provider_id IS NULL)
     ORDER BY n.tenant_id = c.tenant_id DESC, md5(c.id || n.id) LIMIT 1
     ON CONFLICT (cluster_id) DO UPDATE SET node_id = excluded.node_id RETURNING node_id`,
    [clusterId],
  );
  return rows[0]?.node_id ?? null;
}

/** All whom this machine helps. */
export async function helpedBy(db: Queryable, nodeId: NodeId): Promise<MemberRow[]> {
  const { rows } = await db.query<MemberRow>({
    name: 'mesh-helped',
    text: `SELECT ${columns} FROM mesh_members m JOIN mesh_helpers h ON h.cluster_id = m.cluster_id
           WHERE h.node_id = $1 AND m.left_at IS NULL AND m.public_key IS NOT NULL ORDER BY m.cluster_id, m.slot`,
    values: [nodeId],
  });
  return rows;
}

export async function join(tx: Transaction, clusterId: ClusterId, nodeId: NodeId, slot: number): Promise<void> {
  await tx.query('INSERT INTO mesh_members (cluster_id, node_id, slot) VALUES ($1, $2, $3)', [clusterId, nodeId, slot]);
}

export async function leave(tx: Transaction, clusterId: ClusterId, nodeIds: NodeId[]): Promise<void> {
  await tx.query(
    `UPDATE mesh_members SET left_at = now(), public_key = NULL, observed = '{}', endpoints = '[]', paths = '[]'
     WHERE cluster_id = $1 AND node_id = ANY($2) AND left_at IS NULL`,
    [clusterId, nodeIds],
  );
}

/** Nobody belongs to it any more: it may begin anew. */
export async function forget(tx: Transaction, clusterId: ClusterId): Promise<void> {
  await tx.query('DELETE FROM mesh_members WHERE cluster_id = $1', [clusterId]);
  await tx.query('DELETE FROM mesh_helpers WHERE cluster_id = $1', [clusterId]);
}

export async function highestSlot(db: Queryable, clusterId: ClusterId): Promise<number> {
  const { rows } = await db.query<{ highest: number | null }>(
    'SELECT max(slot) AS highest FROM mesh_members WHERE cluster_id = $1',
    [clusterId],
  );
  return rows[0]?.highest ?? 0;
}

/** Returns the clusters of which others must learn. What a machine says of a network that it does not belong to is not heard. */
export async function recordMember(
  tx: Transaction,
  nodeId: NodeId,
  said: { clusterId: ClusterId; publicKey: string; listenPort: number; endpoints: string[]; paths: MemberRow['paths'] },
  remoteAddress: string | null,
): Promise<boolean> {
  const { rows } = await tx.query<{ is_news: boolean }>(
    `UPDATE mesh_members m SET public_key = $3, listen_port = $4, endpoints = $5, remote_address = $6, paths = $7,
       observed = CASE WHEN before.public_key IS DISTINCT FROM $3 THEN '{}'::jsonb ELSE m.observed END
     FROM (SELECT public_key, listen_port, endpoints, remote_address FROM mesh_members
       WHERE cluster_id = $1 AND node_id = $2 AND left_at IS NULL FOR UPDATE) before
     WHERE m.cluster_id = $1 AND m.node_id = $2 AND m.left_at IS NULL
     RETURNING (before.public_key, before.listen_port, before.endpoints, before.remote_address)
       IS DISTINCT FROM ($3::text, $4::int, $5::jsonb, $6::text) AS is_news`,
    [
      said.clusterId,
      nodeId,
      said.publicKey,
      said.listenPort,
      JSON.stringify(said.endpoints),
      remoteAddress,
      JSON.stringify(said.paths),
    ],
  );
  return rows[0]?.is_news ?? false;
}

/**
 * Notes where a member's packets come from, if whoever says so helps its cluster or belongs to it; returns its cluster if
 * that is news.
 */
export async function recordObserved(
  tx: Transaction,
  by: NodeId,
  publicKey: string,
  endpoint: string,
): Promise<ClusterId | null> {
  const { rows } = await tx.query<{ cluster_id: ClusterId }>(
    `UPDATE mesh_members m SET observed = observed || jsonb_build_object($1::text, $3::text)
     WHERE public_key = $2 AND left_at IS NULL AND m.node_id <> $1 AND observed->>$1 IS DISTINCT FROM $3
       AND (EXISTS (SELECT 1 FROM mesh_helpers h WHERE h.cluster_id = m.cluster_id AND h.node_id = $1)
         OR EXISTS (SELECT 1 FROM mesh_members o WHERE o.cluster_id = m.cluster_id AND o.node_id = $1 AND o.left_at IS NULL))
     RETURNING cluster_id`,
    [by, publicKey, endpoint],
  );
  return rows[0]?.cluster_id ?? null;
}

export async function recordObserver(db: Queryable, nodeId: NodeId, publicKey: string | null): Promise<boolean> {
  if ((await observerKey(db, nodeId))?.observer_key === publicKey) return false;
  const { rowCount } = await db.query(
    'UPDATE nodes SET observer_key = $2 WHERE id = $1 AND observer_key IS DISTINCT FROM $2',
    [nodeId, publicKey],
  );
  return rowCount === 1;
}

const observerKey = lookUp<NodeId, { id: NodeId; observer_key: string | null }>(async (db, nodeIds) => {
  const { rows } = await db.query<{ id: NodeId; observer_key: string | null }>({
    name: 'observer-keys',
    text: 'SELECT id, observer_key FROM nodes WHERE id = ANY($1)',
    values: [nodeIds],
  });
  return inOrderOf(nodeIds, rows, row => row.id);
});
