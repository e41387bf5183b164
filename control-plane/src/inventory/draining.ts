/**
 * Leaving a machine: it gets no new lease, its clusters' jobs are asked to move (clusters/reconcile.ts), then the clusters
 * go, and when nothing of them is left it is drained. It stays out of use until somebody lets it take work again.
 */
import type { DrainNode, NodeId, NodeScheduling, TenantId, UserId } from '@iocloud/contracts';
import { recordEvent } from '../events/index.js';
import { type Database, Failure, type Queryable, type Transaction, wake } from '../platform/index.js';
import type { Draining, LeaseBook } from './ports.js';
import { getNode, type NodeRow } from './store.js';

export type SchedulingEvent = 'drain' | 'emptied' | 'undrain';

/** An event that is absent cannot happen. Draining again sets a new time and reason. */
export const schedulingTransitions: Record<NodeScheduling, Partial<Record<SchedulingEvent, NodeScheduling>>> = {
  active: { drain: 'draining' },
  draining: { drain: 'draining', emptied: 'drained', undrain: 'active' },
  drained: { drain: 'draining', undrain: 'active' },
};

interface Caller {
  tenantId: TenantId;
  userId: UserId;
}

export async function drainingNodes(db: Queryable): Promise<ReadonlyMap<NodeId, Draining>> {
  const { rows } = await db.query<{ id: NodeId; name: string; drain_reason: string; drain_deadline: Date }>({
    name: 'draining-nodes',
    text: `SELECT id, name, drain_reason, drain_deadline FROM nodes WHERE scheduling <> 'active' AND removed_at IS NULL`,
    values: [],
  });
  return new Map(rows.map(row => [row.id, { name: row.name, reason: row.drain_reason, deadline: row.drain_deadline }]));
}

export async function drainNode(
  tx: Transaction,
  leaseBook: LeaseBook,
  caller: Caller,
  nodeId: NodeId,
  wish: DrainNode,
): Promise<NodeRow> {
  const node = await getNode(tx, caller.tenantId, nodeId);
  const row = await move(tx, node, 'drain', { reason: wish.reason, graceSeconds: wish.graceSeconds });
  await leaseBook.leave(tx, nodeId);
  await wake(tx, 'node', nodeId);
  await tell(tx, row, 'NodeDraining', `${caller.userId} drains ${node.name}: ${wish.reason}; its work moves away`);
  return row;
}

export async function undrainNode(
  tx: Transaction,
  leaseBook: LeaseBook,
  caller: Caller,
  nodeId: NodeId,
): Promise<NodeRow> {
  const node = await getNode(tx, caller.tenantId, nodeId);
  if (node.scheduling === 'active') return node;
  const row = await move(tx, node, 'undrain', null);
  await tell(tx, row, 'NodeUndrained', `${caller.userId} lets ${node.name} take work again`);
  await wake(tx, 'dispatch', 'all');
  // Clusters that wait for room look again.
  await leaseBook.roomCame(tx);
  return row;
}

export async function unfinishedDrains(db: Queryable): Promise<NodeId[]> {
  const { rows } = await db.query<{ id: NodeId }>(
    `SELECT id FROM nodes WHERE scheduling = 'draining' AND removed_at IS NULL`,
  );
  return rows.map(row => row.id);
}

/** Says so when the last lease of a draining machine has been let go of. */
export async function finishDrain(database: Database, leaseBook: LeaseBook, nodeId: NodeId): Promise<void> {
  await database.transaction(async tx => {
    const { rows } = await tx.query<NodeRow>(
      `SELECT * FROM nodes WHERE id = $1 AND scheduling = 'draining' AND removed_at IS NULL FOR UPDATE`,
      [nodeId],
    );
    const node = rows[0];
    if (!node || !(await leaseBook.isEmpty(tx, nodeId))) return;
    const row = await move(tx, node, 'emptied', 'as before');
    await tell(tx, row, 'NodeDrained', `${node.name} is drained: nothing runs on it`);
  });
}

async function move(
  tx: Transaction,
  node: NodeRow,
  event: SchedulingEvent,
  drain: { reason: string; graceSeconds: number } | 'as before' | null,
): Promise<NodeRow> {
  const scheduling = schedulingTransitions[node.scheduling][event];
  if (scheduling === undefined) {
    throw new Failure('conflict', `${node.name} is ${node.scheduling}: it cannot ${event} now`);
  }
  const kept = drain === 'as before';
  const { rows } = await tx.query<NodeRow>(
    `UPDATE nodes SET scheduling = $2,
       drain_reason = CASE WHEN $3 THEN drain_reason ELSE $4 END,
       drain_requested_at = CASE WHEN $3 THEN drain_requested_at WHEN $4::text IS NOT NULL THEN now() END,
       drain_deadline = CASE WHEN $3 THEN drain_deadline WHEN $4::text IS NOT NULL THEN now() + make_interval(secs => $5) END
     WHERE id = $1 AND scheduling = $6 RETURNING *`,
    [
      node.id,
      scheduling,
      kept,
      kept ? null : (drain?.reason ?? null),
      kept ? 0 : (drain?.graceSeconds ?? 0),
      node.scheduling,
    ],
  );
  if (!rows[0]) throw new Failure('conflict', `${node.name} has just been changed by another call: look and try again`);
  return rows[0];
}

function tell(tx: Transaction, node: NodeRow, reason: string, message: string): Promise<void> {
  return recordEvent(tx, { tenantId: node.tenant_id, subjectKind: 'node', subject: node.id, reason, message });
}
