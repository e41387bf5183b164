import type {
  Inventory,
  Measurement,
  Node,
  NodeId,
  NodeScheduling,
  NodeTerms,
  ReleaseReport,
  TenantId,
} from '@iocloud/contracts';
import { heartbeatTimeoutMs, nodeTerms } from '@iocloud/contracts';
import { bestOf, connectivityOf, recognised } from '../core/matching/index.js';
import { Failure, type Queryable, type Transaction, wake } from '../platform/index.js';
import { agentOf } from './agent-release.js';
import type { LeaseBook, Machine } from './ports.js';
import { reputations } from './reputation.js';

export interface NodeRow {
  id: NodeId;
  tenant_id: TenantId;
  name: string;
  public_key: string;
  shared: boolean;
  /** Written by the verification domain alone. */
  eligible: boolean;
  inventory: Inventory | null;
  terms: Partial<NodeTerms>;
  measured: Measurement[];
  online: boolean;
  scheduling: NodeScheduling;
  drain_reason: string | null;
  drain_requested_at: Date | null;
  drain_deadline: Date | null;
  last_heartbeat_at: Date | null;
  agent: ReleaseReport | null;
  agent_hold: string | null;
  created_at: Date;
}

export async function toNodes(db: Queryable, leaseBook: LeaseBook, rows: NodeRow[]): Promise<Node[]> {
  const ids = rows.map(row => row.id);
  const leased = await leaseBook.leased(db, ids);
  const reputationOf = await reputations(db, rows, new Date());
  return rows.map(row => {
    const use = leased.get(row.id);
    const terms = nodeTerms.parse(row.terms);
    return {
      id: row.id,
      name: row.name,
      shared: row.shared,
      state: row.online ? 'online' : 'offline',
      scheduling: row.scheduling,
      drain: drainOf(row),
      inventory: row.inventory,
      accelerators: (row.inventory?.devices ?? []).map(device => ({ index: device.index, model: recognised(device) })),
      terms,
      measured: bestOf(row.measured),
      connectivity: connectivityOf(terms.connectivity, row.measured),
      reputation: reputationOf.get(row.id) ?? 0,
      eligible: row.eligible,
      cpusLeased: use?.cpus ?? 0,
      memoryBytesLeased: use?.memoryBytes ?? 0,
      devicesLeased: use?.devices ?? [],
      load: use?.load ?? { state: 'idle', cpusUsed: 0, devicesUsed: 0 },
      agent: agentOf(row),
      lastHeartbeatAt: row.last_heartbeat_at?.toISOString() ?? null,
      createdAt: row.created_at.toISOString(),
    };
  });
}

function drainOf(row: NodeRow): Node['drain'] {
  if (row.drain_reason === null || !row.drain_requested_at || !row.drain_deadline) return null;
  return {
    reason: row.drain_reason,
    requestedAt: row.drain_requested_at.toISOString(),
    deadline: row.drain_deadline.toISOString(),
  };
}

export async function insertNode(
  tx: Transaction,
  node: { id: NodeId; tenantId: TenantId; name: string; publicKey: string; shared: boolean },
): Promise<NodeRow> {
  const { rows } = await tx.query<NodeRow>(
    `INSERT INTO nodes (id, tenant_id, name, public_key, shared) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING RETURNING *`,
    [node.id, node.tenantId, node.name, node.publicKey, node.shared],
  );
  if (!rows[0])
    throw new Failure('already-exists', `a machine named ${node.name}, or one with this key, is enrolled already`);
  return rows[0];
}

/** Makes the row of a machine that the bootstrap file names; may run at every start. */
export async function ensureNode(
  tx: Transaction,
  node: { id: NodeId; tenantId: TenantId; name: string; publicKey: string; shared: boolean },
): Promise<void> {
  await tx.query(
    `INSERT INTO nodes (id, tenant_id, name, public_key, shared) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (id) DO UPDATE SET public_key = excluded.public_key, shared = excluded.shared`,
    [node.id, node.tenantId, node.name, node.publicKey, node.shared],
  );
}

export async function listNodes(db: Queryable, tenantId: TenantId, after: string, limit: number): Promise<NodeRow[]> {
  const { rows } = await db.query<NodeRow>(
    'SELECT * FROM nodes WHERE tenant_id = $1 AND removed_at IS NULL AND id > $2 ORDER BY id LIMIT $3',
    [tenantId, after, limit],
  );
  return rows;
}

export async function getNode(db: Queryable, tenantId: TenantId, nodeId: NodeId): Promise<NodeRow> {
  const { rows } = await db.query<NodeRow>(
    'SELECT * FROM nodes WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL',
    [tenantId, nodeId],
  );
  if (!rows[0]) throw new Failure('not-found', `no machine ${nodeId}; \`iocloud node list\` shows yours`);
  return rows[0];
}

export async function removeNode(tx: Transaction, tenantId: TenantId, nodeId: NodeId): Promise<NodeRow> {
  const row = await getNode(tx, tenantId, nodeId);
  await tx.query('UPDATE nodes SET removed_at = now(), online = false WHERE tenant_id = $1 AND id = $2', [
    tenantId,
    nodeId,
  ]);
  return { ...row, online: false };
}

export async function changeTerms(
  tx: Transaction,
  tenantId: TenantId,
  nodeId: NodeId,
  changes: Partial<NodeTerms>,
): Promise<NodeRow> {
  const { rows } = await tx.query<NodeRow>(
    `UPDATE nodes SET terms = terms || $3 WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL RETURNING *`,
    [tenantId, nodeId, JSON.stringify(changes)],
  );
  return rows[0] ?? getNode(tx, tenantId, nodeId);
}

/** The key that a connection under this node's name must prove, or null. */
export async function enrolledKey(db: Queryable, nodeId: string): Promise<string | null> {
  const { rows } = await db.query<{ public_key: string }>(
    'SELECT public_key FROM nodes WHERE id = $1 AND removed_at IS NULL',
    [nodeId],
  );
  return rows[0]?.public_key ?? null;
}

/** Returns the node's tenant and whether it was offline until now; null for a node that was removed meanwhile. */
export async function markOnline(
  tx: Transaction,
  nodeId: NodeId,
  inventory: Inventory,
): Promise<{ tenantId: TenantId; name: string; cameOnline: boolean } | null> {
  const { rows } = await tx.query<{ tenant_id: TenantId; name: string; was_online: boolean }>(
    `UPDATE nodes n SET online = true, inventory = $2, last_heartbeat_at = now()
     FROM (SELECT id, online AS was_online FROM nodes WHERE id = $1 FOR UPDATE) before
     WHERE n.id = before.id AND n.removed_at IS NULL
     RETURNING n.tenant_id, n.name, before.was_online`,
    [nodeId, JSON.stringify(inventory)],
  );
  const row = rows[0];
  return row ? { tenantId: row.tenant_id, name: row.name, cameOnline: !row.was_online } : null;
}

export interface Beat {
  nodeId: NodeId;
  diskFreeBytes: number;
}

/** A change of the free disk by less than this is not written: what is told each second need not be written each second. */
const diskStepBytes = 64 * 2 ** 20;

/**
 * Records these heartbeats and returns the nodes of which it did. Left out are those that were removed or declared
 * offline, and those that somebody is just changing, for whom the others shall not wait: `touch` tells which.
 */
export async function touchEach(db: Queryable, beats: Beat[]): Promise<Set<NodeId>> {
  const { rows } = await db.query<{ id: NodeId }>({
    name: 'touch-nodes',
    text: `WITH free AS (
             SELECT id FROM nodes WHERE id = ANY($1) AND online AND removed_at IS NULL FOR NO KEY UPDATE SKIP LOCKED)
           UPDATE nodes n SET last_heartbeat_at = now(), inventory = ${withDisk}
           FROM free, unnest($1::text[], $2::bigint[]) AS beat (id, disk)
           WHERE n.id = free.id AND beat.id = free.id RETURNING n.id`,
    values: [beats.map(beat => beat.nodeId), beats.map(beat => beat.diskFreeBytes)],
  });
  return new Set(rows.map(row => row.id));
}

const withDisk = `CASE WHEN abs((n.inventory->>'diskFreeBytes')::bigint - beat.disk) < ${diskStepBytes} THEN n.inventory
             ELSE jsonb_set(n.inventory, '{diskFreeBytes}', to_jsonb(beat.disk)) END`;

/** False when the node was removed, or declared offline: then its agent must say hello again. */
export async function touch(db: Queryable, { nodeId, diskFreeBytes }: Beat): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'touch-node',
    text: `UPDATE nodes n SET last_heartbeat_at = now(), inventory = ${withDisk}
           FROM (SELECT $1::text AS id, $2::bigint AS disk) beat
           WHERE n.id = beat.id AND online AND removed_at IS NULL`,
    values: [nodeId, diskFreeBytes],
  });
  return rowCount === 1;
}

export async function markOffline(
  tx: Transaction,
  nodeId: NodeId,
): Promise<{ tenantId: TenantId; name: string } | null> {
  const { rows } = await tx.query<{ tenant_id: TenantId; name: string }>(
    `UPDATE nodes SET online = false
     WHERE id = $1 AND online AND last_heartbeat_at < now() - make_interval(secs => $2)
     RETURNING tenant_id, name`,
    [nodeId, heartbeatTimeoutMs / 1000],
  );
  return rows[0] ? { tenantId: rows[0].tenant_id, name: rows[0].name } : null;
}

/** Nodes that count as online though their heartbeat is overdue. */
export async function overdueNodes(db: Queryable): Promise<NodeId[]> {
  const { rows } = await db.query<{ id: NodeId }>(
    'SELECT id FROM nodes WHERE online AND last_heartbeat_at < now() - make_interval(secs => $1)',
    [heartbeatTimeoutMs / 1000],
  );
  return rows.map(row => row.id);
}

export async function setObservedRevision(db: Queryable, nodeId: NodeId, revision: number): Promise<void> {
  await db.query('UPDATE nodes SET observed_revision = $2 WHERE id = $1', [nodeId, revision]);
}

/** Of these nodes, those whose agents have not yet answered the newest desired state. */
export async function behind(db: Queryable, nodeIds: NodeId[]): Promise<NodeId[]> {
  const { rows } = await db.query<{ id: NodeId }>(
    'SELECT id FROM nodes WHERE id = ANY($1) AND observed_revision < desired_revision',
    [nodeIds],
  );
  return rows.map(row => row.id);
}

/** What is stated, with what is measured in its place where that counts. */
const placedBy = (terms: NodeTerms, measured: Measurement[]): NodeTerms => ({
  ...terms,
  connectivity: connectivityOf(terms.connectivity, measured),
});

type MachineRow = Pick<
  NodeRow,
  'id' | 'tenant_id' | 'name' | 'shared' | 'eligible' | 'online' | 'scheduling' | 'terms' | 'measured'
> & {
  inventory: Inventory;
};

const machineColumns = 'id, tenant_id, name, shared, eligible, online, scheduling, terms, measured, inventory';

export async function totalCapacity(db: Queryable): Promise<{ cpus: number; gpus: number; memoryBytes: number }> {
  const { rows } = await db.query<{ cpus: number; gpus: number; memory_bytes: number }>(
    `SELECT coalesce(sum((inventory->>'cpus')::float8), 0) AS cpus,
       coalesce(sum(jsonb_array_length(inventory->'devices')), 0)::int AS gpus,
       coalesce(sum((inventory->>'memoryBytes')::float8), 0) AS memory_bytes
     FROM nodes WHERE online AND scheduling = 'active' AND removed_at IS NULL AND inventory IS NOT NULL`,
  );
  const { cpus = 0, gpus = 0, memory_bytes: memoryBytes = 0 } = rows[0] ?? {};
  return { cpus, gpus, memoryBytes };
}

export async function availableMachines(db: Queryable, tenantId: TenantId | null): Promise<Machine[]> {
  const { rows } = await db.query<MachineRow>(
    `SELECT ${machineColumns} FROM nodes
     WHERE ($1::text IS NULL OR tenant_id = $1 OR shared AND eligible) AND online AND scheduling = 'active' AND removed_at IS NULL
       AND inventory IS NOT NULL ORDER BY id`,
    [tenantId],
  );
  return toMachines(db, rows);
}

export async function enrolledMachines(db: Queryable, tenantId: TenantId): Promise<Machine[]> {
  const { rows } = await db.query<MachineRow>(
    `SELECT ${machineColumns} FROM nodes
     WHERE (tenant_id = $1 OR shared AND eligible) AND removed_at IS NULL AND inventory IS NOT NULL ORDER BY id`,
    [tenantId],
  );
  return toMachines(db, rows);
}

export async function readMachines(db: Queryable, nodeIds: NodeId[]): Promise<Machine[]> {
  const { rows } = await db.query<MachineRow>(
    `SELECT ${machineColumns} FROM nodes
     WHERE id = ANY($1) AND removed_at IS NULL AND inventory IS NOT NULL ORDER BY id`,
    [nodeIds],
  );
  return toMachines(db, rows);
}

async function toMachines(db: Queryable, rows: MachineRow[]): Promise<Machine[]> {
  const reputationOf = await reputations(db, rows, new Date());
  return rows.map(({ id, tenant_id, name, shared, eligible, online, scheduling, terms, measured, inventory }) => ({
    nodeId: id,
    ownerId: tenant_id,
    // One that has not proven what it is is its owner's alone.
    shared: shared && eligible,
    schedulable: online && scheduling === 'active',
    name,
    terms: placedBy(nodeTerms.parse(terms), measured),
    reputation: reputationOf.get(id) ?? 0,
    cpus: inventory.cpus,
    memoryBytes: inventory.memoryBytes,
    devices: inventory.devices,
    rayVersions: inventory.rayVersions,
    isolation: inventory.isolation,
    isolationReason: inventory.isolationReason,
    mesh: inventory.mesh ?? { able: false, reason: '' },
  }));
}

export async function changeDesired(tx: Transaction, nodeId: NodeId): Promise<number> {
  const { rows } = await tx.query<{ desired_revision: number }>(
    'UPDATE nodes SET desired_revision = desired_revision + 1 WHERE id = $1 RETURNING desired_revision',
    [nodeId],
  );
  if (!rows[0]) throw new Error(`no node ${nodeId}`);
  await wake(tx, 'node', nodeId);
  return rows[0].desired_revision;
}
