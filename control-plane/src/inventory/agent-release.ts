/** What agents say of their releases, and whether their owners let roll-outs change them. */
import type { Node, NodeId, ReleaseReport, TenantId } from '@iocloud/contracts';
import type { Transaction } from '../platform/index.js';
import { getNode, type NodeRow } from './store.js';

export function agentOf({ agent, agent_hold: hold }: NodeRow): Node['agent'] {
  if (!agent) return null;
  const { running, onTrial, previous, failed } = agent;
  return {
    version: running.version,
    serial: running.serial,
    onTrial,
    previousVersion: previous?.version ?? null,
    lastFailure: failed?.reason ?? null,
    hold,
  };
}

/** What the agent says of its release; null: nothing, as it cannot change it. `refused`: it is sent away. */
export async function setAgent(
  tx: Transaction,
  nodeId: NodeId,
  report: ReleaseReport | null,
  refused: boolean,
): Promise<void> {
  await tx.query(
    `UPDATE nodes SET agent = $2, agent_serial = $3, agent_refused_at = CASE WHEN $4 THEN now() END
     WHERE id = $1 AND removed_at IS NULL`,
    [nodeId, report && JSON.stringify(report), report?.running.serial ?? null, refused],
  );
}

export async function setAgentHold(
  tx: Transaction,
  tenantId: TenantId,
  nodeId: NodeId,
  hold: string | null,
): Promise<NodeRow> {
  const { rows } = await tx.query<NodeRow>(
    'UPDATE nodes SET agent_hold = $3 WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL RETURNING *',
    [tenantId, nodeId, hold],
  );
  return rows[0] ?? getNode(tx, tenantId, nodeId);
}
