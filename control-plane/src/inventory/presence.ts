/** Which machines are online: what their coming, their heartbeats and their silence write. silent-nodes.ts reads it. */
import { heartbeatTimeoutMs, type Inventory, type NodeId, type ReleaseReport, type TenantId } from '@iocloud/contracts';
import type { Queryable, Transaction } from '../platform/index.js';

export interface Arrival {
  nodeId: NodeId;
  inventory: Inventory;
  /** What its agent says of its release. */
  release: ReleaseReport | null;
}
export interface Arrived {
  tenantId: TenantId;
  name: string;
  /** It was offline until now. */
  cameOnline: boolean;
  /** Something of its agent's release is on record. */
  hasRelease: boolean;
}

/**
 * Puts machines on record as online. Left out are those that were removed meanwhile; and, where `waits` is false, those
 * that somebody is just changing.
 */
export async function markOnline(
  tx: Transaction,
  arrivals: Arrival[],
  { waits }: { waits: boolean },
): Promise<Map<NodeId, Arrived>> {
  const { rows } = await tx.query<{
    id: NodeId;
    tenant_id: TenantId;
    name: string;
    was_online: boolean;
    has_release: boolean;
  }>({
    name: `mark-online-${waits}`,
    text: `WITH before AS (
             SELECT id, online AS was_online FROM nodes WHERE id = ANY($1) AND removed_at IS NULL ORDER BY id
             FOR UPDATE ${waits ? '' : 'SKIP LOCKED'}),
           came AS (
             UPDATE nodes n SET online = true, inventory = a.inventory, last_heartbeat_at = now()
             FROM before, unnest($1::text[], $2::jsonb[]) AS a (id, inventory) WHERE n.id = before.id AND a.id = n.id
             RETURNING n.id, n.tenant_id, n.name, before.was_online,
               n.agent IS NOT NULL OR n.agent_refused_at IS NOT NULL AS has_release),
           heard AS (
             INSERT INTO node_heartbeats (node_id, at) SELECT id, now() FROM came ORDER BY id
             ON CONFLICT (node_id) DO UPDATE SET at = now())
           SELECT id, tenant_id, name, was_online, has_release FROM came`,
    values: [arrivals.map(({ nodeId }) => nodeId), arrivals.map(({ inventory }) => JSON.stringify(inventory))],
  });
  return new Map(
    rows.map(row => [
      row.id,
      { tenantId: row.tenant_id, name: row.name, cameOnline: !row.was_online, hasRelease: row.has_release },
    ]),
  );
}

/**
 * Records these heartbeats and returns the nodes of which it did. Left out are those that were removed or declared
 * offline, those without a record, and those that somebody is just changing, for whom the others shall not wait: `touch`
 * tells which.
 */
export async function touchEach(db: Queryable, nodeIds: NodeId[]): Promise<Set<NodeId>> {
  const { rows } = await db.query<{ node_id: NodeId }>({
    name: 'touch-nodes',
    text: `WITH free AS (
             SELECT h.node_id FROM node_heartbeats h JOIN nodes n ON n.id = h.node_id
             WHERE h.node_id = ANY($1) AND n.online AND n.removed_at IS NULL FOR NO KEY UPDATE OF h SKIP LOCKED)
           UPDATE node_heartbeats h SET at = now() FROM free WHERE h.node_id = free.node_id RETURNING h.node_id`,
    values: [nodeIds],
  });
  return new Set(rows.map(row => row.node_id));
}

/** False when the node was removed, or declared offline: then its agent must say hello again. */
export async function touch(db: Queryable, nodeId: NodeId): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'touch-node',
    text: `INSERT INTO node_heartbeats (node_id, at)
           SELECT id, now() FROM nodes WHERE id = $1 AND online AND removed_at IS NULL
           ON CONFLICT (node_id) DO UPDATE SET at = now()`,
    values: [nodeId],
  });
  return rowCount === 1;
}

export async function recordFreeDisk(db: Queryable, nodeId: NodeId, bytes: number): Promise<void> {
  await db.query(
    `UPDATE nodes SET inventory = jsonb_set(inventory, '{diskFreeBytes}', to_jsonb($2::bigint)) WHERE id = $1`,
    [nodeId, bytes],
  );
}

export async function markOffline(
  tx: Transaction,
  nodeId: NodeId,
): Promise<{ tenantId: TenantId; name: string; isAttended: boolean } | null> {
  const { rows } = await tx.query<{ tenant_id: TenantId; name: string; is_attended: boolean }>(
    `WITH silent AS (
       SELECT node_id, at FROM node_heartbeats WHERE node_id = $1 AND at < now() - make_interval(secs => $2) FOR UPDATE)
     UPDATE nodes SET online = false, last_heartbeat_at = silent.at FROM silent WHERE id = silent.node_id AND online
     RETURNING tenant_id, name, provider_id IS NOT NULL AS is_attended`,
    [nodeId, heartbeatTimeoutMs / 1000],
  );
  const [row] = rows;
  return row ? { tenantId: row.tenant_id, name: row.name, isAttended: row.is_attended } : null;
}

/** Nodes that count as online though their heartbeat is overdue. Those without a record get one: of now. */
export async function overdueNodes(db: Queryable): Promise<NodeId[]> {
  const { rows } = await db.query<{ id: NodeId; unrecorded: boolean }>(
    `SELECT n.id, h.at IS NULL AS unrecorded FROM nodes n LEFT JOIN node_heartbeats h ON h.node_id = n.id
     WHERE n.online AND (h.at IS NULL OR h.at < now() - make_interval(secs => $1))`,
    [heartbeatTimeoutMs / 1000],
  );
  const unrecorded = rows.filter(row => row.unrecorded).map(({ id }) => id);
  if (unrecorded.length > 0) {
    await db.query(
      `INSERT INTO node_heartbeats (node_id, at) SELECT id, now() FROM nodes WHERE id = ANY($1) AND online
       ON CONFLICT DO NOTHING`,
      [unrecorded],
    );
  }
  return rows.filter(row => !row.unrecorded).map(({ id }) => id);
}
