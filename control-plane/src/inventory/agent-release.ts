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

/**
 * What the agent says of its release; null: nothing, as it cannot change it. `refused`: it is sent away. The archive says
 * which release it is: a machine may have it by another serial, of a control plane that was set up anew.
 */
export async function setAgent(
  tx: Transaction,
  nodeId: NodeId,
  report: ReleaseReport | null,
  refused: boolean,
): Promise<void> {
  await tx.query(
    `UPDATE nodes SET agent = $2, agent_refused_at = CASE WHEN $4 THEN now() END,
       agent_serial = coalesce((SELECT serial FROM agent_releases WHERE sha256 = $5), $3)
     WHERE id = $1 AND removed_at IS NULL`,
    [nodeId, report && JSON.stringify(report), report?.running.serial ?? null, refused, report?.running.sha256 ?? null],
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
