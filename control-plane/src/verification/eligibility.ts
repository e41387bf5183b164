/**
 * Whether a machine may be offered to others than its owner, by the latest verdicts on its devices. The only writer of
 * `nodes.eligible`.
 */
import type { NodeId, TenantId, Verdict } from '@iocloud/contracts';
import { subjectsOf } from '../core/verification/index.js';
import { recordEvent } from '../events/index.js';
import { type Queryable, type Transaction, wake } from '../platform/index.js';
import { nodeFacts, setPolicy } from './store.js';

/** A verdict holds so long: that of an hour is followed by the next one's, at whatever minute that comes. */
const verdictHolds = "interval '2 hours'";
/** As long as it is leased it cannot be challenged; but not for ever, or its owner could lease it to keep challenges away. */
const leaseHolds = "interval '24 hours'";

interface Latest {
  device_uuid: string;
  verdict: Verdict;
  passed_recently: boolean;
}

/** What speaks against the machine, in words; null: nothing. */
export async function objection(db: Queryable, nodeId: NodeId): Promise<string | null> {
  const node = await nodeFacts(db, nodeId);
  if (!node) return 'its agent has never connected';
  if (node.provider_id !== null) return 'it is a node of a Kubernetes cluster, whose devices cannot be challenged';
  const { rows } = await db.query<Latest>(
    `SELECT DISTINCT ON (device_uuid) device_uuid, verdict,
       EXISTS (SELECT 1 FROM verifications p WHERE p.node_id = $1 AND p.device_uuid = v.device_uuid
           AND p.device_model = v.device_model AND p.verdict = 'passed' AND p.judged_at > now() - CASE WHEN EXISTS (
             SELECT 1 FROM verifications l WHERE l.node_id = $1 AND l.device_uuid = v.device_uuid AND l.verdict = 'leased'
               AND l.judged_at > now() - ${verdictHolds}) THEN ${leaseHolds} ELSE ${verdictHolds} END) AS passed_recently
     FROM verifications v WHERE node_id = $1 AND verdict IN ('passed', 'failed')
     ORDER BY device_uuid, judged_at DESC`,
    [nodeId],
  );
  const latest = new Map(rows.map(row => [row.device_uuid, row]));
  for (const { uuid, model } of subjectsOf(node.inventory)) {
    const found = latest.get(uuid);
    if (!found) return `${model} (${uuid}) has not been verified yet`;
    if (found.verdict === 'failed') return `${model} (${uuid}) failed its latest verification`;
    if (!found.passed_recently) return `${model} (${uuid}) has not been verified for too long`;
  }
  return null;
}

/** In the transaction of what changes it: a verdict, an appeal. */
export async function settleEligibility(tx: Transaction, nodeId: NodeId): Promise<void> {
  const { rows } = await tx.query<{ required: boolean }>('SELECT required FROM verification_policy');
  const against = rows[0]?.required ? await objection(tx, nodeId) : null;
  const { rows: changed } = await tx.query<{ tenant_id: TenantId; name: string; shared: boolean }>(
    'UPDATE nodes SET eligible = $2 WHERE id = $1 AND eligible <> $2 RETURNING tenant_id, name, shared',
    [nodeId, against === null],
  );
  const node = changed[0];
  if (!node?.shared) return;
  await recordEvent(tx, {
    tenantId: node.tenant_id,
    subjectKind: 'node',
    subject: nodeId,
    reason: against === null ? 'NodeEligible' : 'NodeIneligible',
    message:
      against === null
        ? `${node.name} is verified and is offered to other tenants`
        : `${node.name} is not offered to other tenants any more: ${against}; \`iocloud node verification ${node.name}\` explains`,
    severity: against === null ? 'info' : 'warning',
  });
  if (against === null) await wake(tx, 'dispatch', 'all');
}

/** Machines whose verdicts have become too old. */
export async function lapsed(db: Queryable): Promise<NodeId[]> {
  const { rows } = await db.query<{ id: NodeId }>(
    `SELECT id FROM nodes n WHERE shared AND eligible AND removed_at IS NULL AND NOT EXISTS (
       SELECT 1 FROM verifications v WHERE v.node_id = n.id AND v.verdict IN ('passed', 'leased')
         AND v.judged_at > now() - ${verdictHolds})
     OR shared AND eligible AND removed_at IS NULL AND NOT EXISTS (
       SELECT 1 FROM verifications v WHERE v.node_id = n.id AND v.verdict = 'passed'
         AND v.judged_at > now() - ${leaseHolds})`,
  );
  return rows.map(row => row.id);
}

/** At start: what the configuration says holds for all machines from now on. */
export async function applyPolicy(tx: Transaction, required: boolean): Promise<void> {
  await setPolicy(tx, required);
  if (!required) {
    await tx.query('UPDATE nodes SET eligible = true WHERE NOT eligible');
    return;
  }
  const { rows } = await tx.query<{ id: NodeId }>('SELECT id FROM nodes WHERE removed_at IS NULL AND eligible');
  for (const { id } of rows) await settleEligibility(tx, id);
}
