import type {
  Inventory,
  Measurement,
  Node,
  NodeId,
  NodeScheduling,
  NodeTerms,
  ProviderId,
  ReleaseReport,
  TenantId,
} from '@iocloud/contracts';
import { nodeTerms } from '@iocloud/contracts';
import { bestOf, connectivityOf, modelOf, recognised } from '../core/matching/index.js';
import { Failure, inOrderOf, lookUp, type Queryable, type Transaction, wake } from '../platform/index.js';
import { type Market, marketBasisOf, marketOf, marketPriceOf, type PriceBasis } from '../pricing/index.js';
import { stakeShares } from '../token/index.js';
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
  /** Null: a node of a provider, that no agent runs. */
  public_key: string | null;
  provider_id: ProviderId | null;
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
      providerId: row.provider_id,
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
  await tx.query(
    `UPDATE nodes n SET removed_at = now(), last_heartbeat_at = ${heardAt}, online = false WHERE tenant_id = $1 AND id = $2`,
    [tenantId, nodeId],
  );
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
  const { rows } = await db.query<{ id: string; public_key: string | null }>({
    name: 'enrolled-keys',
    text: 'SELECT id, public_key FROM nodes WHERE id = ANY($1) AND removed_at IS NULL',
    values: [nodeIds],
  });
  return inOrderOf(nodeIds, rows, row => row.id).map(row => row?.public_key ?? null);
}, loginSpacingMs);

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

/** Of the terms that `placedBy` has made of these. */
function basisOf(stated: NodeTerms, placed: NodeTerms, { devices }: Inventory, market: Market | null): PriceBasis {
  const models = new Set(devices.map(modelOf));
  return {
    microUsdPerCpuHour: placed.microUsdPerCpuHour,
    microUsdPerGpuHour: placed.microUsdPerGpuHour,
    ownMicroUsdPerGpuHour: stated.microUsdPerGpuHour,
    market: market === null || stated.gpuPricing !== 'market' ? null : marketBasisOf(placed, [...models], market),
  };
}

/** Null where none of them goes by it. */
const marketFor = async (db: Queryable, rows: readonly Pick<NodeRow, 'terms'>[]): Promise<Market | null> =>
  rows.some(({ terms }) => terms.gpuPricing === 'market') ? marketOf(db) : null;

type MachineRow = Pick<
  NodeRow,
  'id' | 'tenant_id' | 'name' | 'provider_id' | 'shared' | 'eligible' | 'online' | 'scheduling' | 'terms' | 'measured'
> & {
  inventory: Inventory;
};

/** Other tenants' code goes where containers keep it apart, or where the owner allows plain processes. */
const keptApart = `(inventory->>'isolation' = 'container' OR coalesce((terms->>'plainProcesses')::boolean, false))`;

const machineColumns =
  'id, tenant_id, name, provider_id, shared, eligible, online, scheduling, terms, measured, inventory';

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
  const stakes = await stakeShares(
    db,
    rows.map(({ id, inventory }) => ({ nodeId: id, models: inventory.devices.map(modelOf) })),
  );
  return rows.map(row => {
    const { id, tenant_id, name, shared, eligible, online, scheduling, terms, measured, inventory } = row;
    const stated = nodeTerms.parse(terms);
    const placed = placedBy(stated, measured, inventory, market);
    return {
      nodeId: id,
      ownerId: tenant_id,
      ...audienceOf(shared && eligible, stated, inventory),
      schedulable: online && scheduling === 'active',
      name,
      terms: placed,
      priceBasis: basisOf(stated, placed, inventory, market),
      reputation: reputationOf.get(id) ?? 0,
      stake: stakes.get(id) ?? 0,
      cpus: inventory.cpus,
      memoryBytes: inventory.memoryBytes,
      devices: inventory.devices,
      rayVersions: inventory.rayVersions,
      isolation: inventory.isolation,
      isolationReason: inventory.isolationReason,
      mesh: inventory.mesh ?? { able: false, reason: '' },
      network: row.provider_id,
    };
  });
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
