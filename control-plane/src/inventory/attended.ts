/** The rows of machines that no agent runs: they come and go with the nodes of their provider. */
import type { Inventory, NodeId, NodeScheduling, NodeTerms, ProviderId, TenantId } from '@iocloud/contracts';
import { newId } from '@iocloud/contracts';
import { recordEvent } from '../events/index.js';
import { type Queryable, type Transaction, wake } from '../platform/index.js';
import { drainNode, undrainNode } from './draining.js';
import type { LeaseBook } from './ports.js';

export interface AttendedMachine {
  id: NodeId;
  name: string;
  /** The node's name and uid at the provider. */
  node: string;
  uid: string;
  inventory: Inventory | null;
  online: boolean;
  scheduling: NodeScheduling;
  drainReason: string | null;
  /** Its owner has removed it, or its node has gone. */
  isRemoved: boolean;
}

/** Also those that were removed: a node that its owner has removed does not come back by itself. */
export async function attendedMachines(db: Queryable, providerId: ProviderId): Promise<AttendedMachine[]> {
  const { rows } = await db.query<{
    id: NodeId;
    name: string;
    provider_node: string;
    provider_uid: string;
    inventory: Inventory | null;
    online: boolean;
    scheduling: NodeScheduling;
    drain_reason: string | null;
    is_removed: boolean;
  }>({
    name: 'attended-machines',
    text: `SELECT id, name, provider_node, provider_uid, inventory, online, scheduling, drain_reason,
             removed_at IS NOT NULL AS is_removed FROM nodes WHERE provider_id = $1 ORDER BY id`,
    values: [providerId],
  });
  return rows.map(row => ({
    id: row.id,
    name: row.name,
    node: row.provider_node,
    uid: row.provider_uid,
    inventory: row.inventory,
    online: row.online,
    scheduling: row.scheduling,
    drainReason: row.drain_reason,
    isRemoved: row.is_removed,
  }));
}

export interface NewAttendedMachine {
  tenantId: TenantId;
  providerId: ProviderId;
  name: string;
  node: string;
  uid: string;
  shared: boolean;
  terms: Partial<NodeTerms>;
}

/** Null: a machine of the tenant has the name. */
export async function enrolAttended(
  tx: Transaction,
  machine: NewAttendedMachine,
  random: (n: number) => Uint8Array,
): Promise<NodeId | null> {
  const id = newId('node', random);
  const { rowCount } = await tx.query(
    `INSERT INTO nodes (id, tenant_id, name, shared, terms, provider_id, provider_node, provider_uid)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
    [
      id,
      machine.tenantId,
      machine.name,
      machine.shared,
      JSON.stringify(machine.terms),
      machine.providerId,
      machine.node,
      machine.uid,
    ],
  );
  if (rowCount === 0) return null;
  const message = `${machine.name} was found and enrolled`;
  await tell(tx, machine.tenantId, id, 'NodeEnrolled', message);
  return id;
}

/** What ran there counts as lost: its node is gone, or its owner says so. */
export async function removeAttended(
  tx: Transaction,
  leaseBook: Pick<LeaseBook, 'leave'>,
  nodeIds: readonly NodeId[],
  why: string,
): Promise<void> {
  const { rows } = await tx.query<{ id: NodeId; tenant_id: TenantId; name: string }>(
    `UPDATE nodes SET removed_at = now(), last_heartbeat_at = now(), online = false
     WHERE id = ANY($1) AND provider_id IS NOT NULL AND removed_at IS NULL RETURNING id, tenant_id, name`,
    [nodeIds],
  );
  for (const { id, tenant_id, name } of rows) {
    await tell(tx, tenant_id, id, 'NodeRemoved', `${name} was removed: ${why}`);
    await leaseBook.leave(tx, id);
  }
}

const cordonGraceSeconds = 60;

/** A cordoned node is left as any machine that is drained; it is the provider's own drain alone that the provider takes back. */
export async function followCordon(
  tx: Transaction,
  leaseBook: LeaseBook,
  caller: Parameters<typeof drainNode>[2],
  machine: Pick<AttendedMachine, 'id' | 'scheduling' | 'drainReason'>,
  cordon: string | null,
): Promise<void> {
  const isOurs = machine.drainReason?.startsWith(cordonPrefix) ?? false;
  if (cordon !== null && machine.scheduling === 'active') {
    const reason = `${cordonPrefix}${cordon}`.slice(0, 500);
    await drainNode(tx, leaseBook, caller, machine.id, { reason, graceSeconds: cordonGraceSeconds });
  }
  if (cordon === null && machine.scheduling !== 'active' && isOurs)
    await undrainNode(tx, leaseBook, caller, machine.id);
}
const cordonPrefix = 'in Kubernetes it ';

async function tell(tx: Transaction, tenantId: TenantId, nodeId: NodeId, reason: string, message: string) {
  await recordEvent(tx, { tenantId, subjectKind: 'node', subject: nodeId, reason, message });
  await wake(tx, 'dispatch', 'all');
}
