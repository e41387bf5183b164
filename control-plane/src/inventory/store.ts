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
import { bestOf, connectivityOf, modelOf, recognised } from '../core/matching/index.js';
import { Failure, inOrderOf, lookUp, type Queryable, type Transaction, wake } from '../platform/index.js';
import { type Market, marketOf, marketPriceOf } from '../pricing/index.js';
import { agentOf } from './agent-release.js';
import type { LeaseBook, Machine } from './ports.js';
import { reputations } from './reputation.js';
import { heardAt } from './silent-nodes.js';

/** Machines that come at the same time share the question for their keys: milliseconds that a login waits at most. */
const loginSpacingMs = 10;

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
  const market = await marketFor(db, rows);
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
      microUsdPerGpuHour: placedBy(terms, row.measured, row.inventory, market).microUsdPerGpuHour,
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
    `SELECT n.*, ${heardAt} AS last_heartbeat_at FROM nodes n
     WHERE tenant_id = $1 AND removed_at IS NULL AND id > $2 ORDER BY id LIMIT $3`,
    [tenantId, after, limit],
  );
  return rows;
}

export async function getNode(db: Queryable, tenantId: TenantId, nodeId: NodeId): Promise<NodeRow> {
  const { rows } = await db.query<NodeRow>(
    `SELECT n.*, ${heardAt} AS last_heartbeat_at FROM nodes n WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL`,
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
export const enrolledKey: (db: Queryable, nodeId: string) => Promise<string | null> = lookUp(async (db, nodeIds) => {
  const { rows } = await db.query<{ id: string; public_key: string }>({
    name: 'enrolled-keys',
    text: 'SELECT id, public_key FROM nodes WHERE id = ANY($1) AND removed_at IS NULL',
    values: [nodeIds],
  });
  return inOrderOf(nodeIds, rows, row => row.id).map(row => row?.public_key ?? null);
}, loginSpacingMs);

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
): Promise<{ tenantId: TenantId; name: string } | null> {
  const { rows } = await tx.query<{ tenant_id: TenantId; name: string }>(
    `WITH silent AS (
       SELECT node_id, at FROM node_heartbeats WHERE node_id = $1 AND at < now() - make_interval(secs => $2) FOR UPDATE)
     UPDATE nodes SET online = false, last_heartbeat_at = silent.at FROM silent WHERE id = silent.node_id AND online
     RETURNING tenant_id, name`,
    [nodeId, heartbeatTimeoutMs / 1000],
  );
  return rows[0] ? { tenantId: rows[0].tenant_id, name: rows[0].name } : null;
}

/** Nodes that count as online though their heartbeat is overdue. Those without a record get one: of now. */
export async function overdueNodes(db: Queryable): Promise<NodeId[]> {
  await db.query(
    `INSERT INTO node_heartbeats (node_id, at)
     SELECT id, now() FROM nodes n
     WHERE online AND removed_at IS NULL AND NOT EXISTS (SELECT 1 FROM node_heartbeats h WHERE h.node_id = n.id)
     ON CONFLICT DO NOTHING`,
  );
  const { rows } = await db.query<{ id: NodeId }>(
    `SELECT n.id FROM nodes n JOIN node_heartbeats h ON h.node_id = n.id
     WHERE n.online AND h.at < now() - make_interval(secs => $1)`,
    [heartbeatTimeoutMs / 1000],
  );
  return rows.map(row => row.id);
}

const observedRevision = lookUp<NodeId, { id: NodeId; revision: number }>(async (db, nodeIds) => {
  const { rows } = await db.query<{ id: NodeId; revision: number }>({
    name: 'observed-revisions',
    text: 'SELECT id, observed_revision AS revision FROM nodes WHERE id = ANY($1)',
    values: [nodeIds],
  });
  return inOrderOf(nodeIds, rows, row => row.id);
});

/** Agents say again and again what is on record. */
export async function setObservedRevision(db: Queryable, nodeId: NodeId, revision: number): Promise<void> {
  if ((await observedRevision(db, nodeId))?.revision === revision) return;
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
function placedBy(
  stated: NodeTerms,
  measured: Measurement[],
  inventory: Inventory | null,
  market: Market | null,
): NodeTerms {
  const terms = { ...stated, connectivity: connectivityOf(stated.connectivity, measured) };
  if (market === null || terms.gpuPricing !== 'market') return terms;
  const models = new Set((inventory?.devices ?? []).map(modelOf));
  return { ...terms, microUsdPerGpuHour: marketPriceOf(terms, [...models], market) };
}

/** Null where none of them goes by it. */
const marketFor = async (db: Queryable, rows: readonly Pick<NodeRow, 'terms'>[]): Promise<Market | null> =>
  rows.some(({ terms }) => terms.gpuPricing === 'market') ? marketOf(db) : null;

type MachineRow = Pick<
  NodeRow,
  'id' | 'tenant_id' | 'name' | 'shared' | 'eligible' | 'online' | 'scheduling' | 'terms' | 'measured'
> & {
  inventory: Inventory;
};

/** Other tenants' code goes where containers keep it apart, or where the owner allows plain processes. */
const keptApart = `(inventory->>'isolation' = 'container' OR coalesce((terms->>'plainProcesses')::boolean, false))`;

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
     WHERE ($1::text IS NULL OR tenant_id = $1 OR shared AND eligible AND ${keptApart}) AND online
       AND scheduling = 'active' AND removed_at IS NULL AND inventory IS NOT NULL ORDER BY id`,
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

/** One that has not proven what it is, or that does not keep others' code apart, is its owner's alone. */
function audienceOf(offered: boolean, { plainProcesses }: NodeTerms, { isolation }: Inventory) {
  const keepsApart = isolation === 'container' || plainProcesses;
  return { shared: offered && keepsApart, heldBack: offered && !keepsApart };
}

async function toMachines(db: Queryable, rows: MachineRow[]): Promise<Machine[]> {
  const reputationOf = await reputations(db, rows, new Date());
  const market = await marketFor(db, rows);
  return rows.map(({ id, tenant_id, name, shared, eligible, online, scheduling, terms, measured, inventory }) => ({
    nodeId: id,
    ownerId: tenant_id,
    ...audienceOf(shared && eligible, nodeTerms.parse(terms), inventory),
    schedulable: online && scheduling === 'active',
    name,
    terms: placedBy(nodeTerms.parse(terms), measured, inventory, market),
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
