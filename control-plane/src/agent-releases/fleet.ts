/** What a roll-out does to the fleet: begins waves, hears what became of each machine, and stops by itself. */
import {
  type NodeId,
  type ReleaseReport,
  type RolloutId,
  type RolloutNodeState,
  type RolloutTerms,
  rolloutTerms,
  type TenantId,
  type UserId,
} from '@iocloud/contracts';
import { nextStep } from '../core/rollouts/index.js';
import { recordEvent } from '../events/index.js';
import { type Database, type Queryable, type Transaction, takeLock } from '../platform/index.js';
import { endGrant, graceOf, grant } from './grace.js';
import { move, reachable, rolloutsLock, stillToGo, tell } from './rollouts.js';

interface Running {
  id: RolloutId;
  version: string;
  terms: Partial<RolloutTerms>;
  tenant_id: TenantId;
  user_id: UserId;
}

/** One step of the roll-out that runs, if any does. False while another replica is at it, or nothing is to be done. */
export async function step(database: Database, newAttempt: () => string): Promise<boolean> {
  const { rows: running } = await database.query<Running>(
    `SELECT r.id, e.version, r.terms, r.tenant_id, r.user_id FROM agent_rollouts r JOIN agent_releases e USING (serial)
     WHERE r.phase = 'running'`,
  );
  const [rollout] = running;
  if (!rollout) return false;
  return database.transaction(async tx => {
    if (!(await takeLock(tx, rolloutsLock))) return false;
    const { rows: still } = await tx.query(`SELECT FROM agent_rollouts WHERE id = $1 AND phase = 'running'`, [
      rollout.id,
    ]);
    if (still.length === 0) return false;
    const { fleet, total } = await lookAt(tx, rollout.id);
    const terms = rolloutTerms.parse(rollout.terms);
    const next = nextStep(terms, fleet, total);
    for (const { nodeId, reason } of next.failed) await end(tx, rollout.id, nodeId, 'failed', reason);
    if (next.halt !== null) {
      await move(tx, { id: rollout.id, phase: 'running' }, 'tooManyFailed', next.halt);
      const who = { tenantId: rollout.tenant_id, userId: rollout.user_id };
      const words = `the roll-out ${rollout.id} of the agent ${rollout.version} stopped by itself: ${next.halt}`;
      await tell(tx, who, 'AgentRolloutHalted', words, true);
    }
    await tx.query(
      `INSERT INTO agent_rollout_nodes (rollout_id, node_id, state, attempt, from_version, from_serial)
       SELECT $1, m.id, 'trying', begun.attempt, m.agent->'running'->>'version', m.agent_serial
       FROM unnest($2::text[], $3::text[]) AS begun (id, attempt) JOIN nodes m ON m.id = begun.id
       ON CONFLICT DO NOTHING`,
      [rollout.id, next.begin, next.begin.map(newAttempt)],
    );
    await grant(tx, next.begin, graceOf(terms));
    return next.failed.length > 0 || next.halt !== null || next.begin.length > 0;
  });
}

/** Those that it has come to, and those that it may come to: the others of a large fleet do not matter. */
async function lookAt(tx: Transaction, id: RolloutId) {
  const { rows } = await tx.query<{
    nodeId: NodeId;
    state: RolloutNodeState | null;
    ready: boolean;
    switchingSeconds: number | null;
    tryingSeconds: number;
  }>(
    `SELECT m.id AS "nodeId", t.state, m.agent_hold IS NULL AND ${reachable} AND ${stillToGo} AS ready,
       extract(epoch FROM clock_timestamp() - t.sent_at)::float8 AS "switchingSeconds",
       coalesce(extract(epoch FROM clock_timestamp() - t.begun_at), 0)::float8 AS "tryingSeconds"
     FROM agent_rollouts r CROSS JOIN nodes m LEFT JOIN agent_rollout_nodes t ON t.rollout_id = r.id AND t.node_id = m.id
     WHERE r.id = $1 AND (t.state IS NOT NULL OR ${stillToGo})`,
    [id],
  );
  const { rows: counted } = await tx.query<{ total: number }>(
    'SELECT count(*)::int AS total FROM nodes WHERE agent_serial IS NOT NULL AND removed_at IS NULL',
  );
  return { fleet: rows, total: counted[0]?.total ?? 0 };
}

/** What an agent says of its release, in the transaction that puts it on record. */
export async function reported(tx: Transaction, nodeId: NodeId, report: ReleaseReport): Promise<void> {
  if (report.onTrial) return;
  const { rows } = await tx.query<{
    rollout_id: RolloutId;
    state: RolloutNodeState;
    attempt: string;
    sha256: string;
    sent: boolean;
  }>(
    `SELECT t.rollout_id, t.state, t.attempt, e.sha256, t.sent_at IS NOT NULL AS sent FROM agent_rollout_nodes t
     JOIN agent_rollouts r ON r.id = t.rollout_id JOIN agent_releases e USING (serial)
     WHERE t.node_id = $1 ORDER BY t.begun_at DESC LIMIT 1 FOR UPDATE OF t`,
    [nodeId],
  );
  const [last] = rows;
  if (!last || last.state === 'healthy') return;
  if (report.running.sha256 === last.sha256) return end(tx, last.rollout_id, nodeId, 'healthy', '');
  if (last.state !== 'trying') return;
  if (report.failed?.attempt === last.attempt) return end(tx, last.rollout_id, nodeId, 'failed', report.failed.reason);
  // It agreed, and knows nothing of that: killed before it was on its disk, say. It is given the release once more.
  if (last.sent) await tx.query('UPDATE agent_rollout_nodes SET sent_at = NULL WHERE attempt = $1', [last.attempt]);
}

/** What has become of one machine, with an event for its owner. */
export async function end(
  tx: Transaction,
  rolloutId: RolloutId,
  nodeId: NodeId,
  state: Exclude<RolloutNodeState, 'trying'>,
  reason: string,
): Promise<void> {
  const { rows } = await tx.query<{ tenant_id: TenantId; name: string; version: string }>(
    `UPDATE agent_rollout_nodes t SET state = $3, reason = $4, changed_at = clock_timestamp()
     FROM nodes m, agent_rollouts r JOIN agent_releases e USING (serial)
     WHERE t.rollout_id = $1 AND t.node_id = $2 AND t.state <> $3 AND m.id = t.node_id AND r.id = t.rollout_id
     RETURNING m.tenant_id, m.name, e.version`,
    [rolloutId, nodeId, state, reason],
  );
  const [node] = rows;
  if (!node) return;
  await endGrant(tx, [nodeId]);
  const words =
    state === 'healthy'
      ? `${node.name} runs the agent ${node.version}`
      : `${node.name} does not run the agent ${node.version}: ${reason}`;
  await recordEvent(tx, {
    tenantId: node.tenant_id,
    subjectKind: 'node',
    subject: nodeId,
    reason: state === 'healthy' ? 'AgentUpgraded' : 'AgentUpgradeFailed',
    message: words,
    severity: state === 'healthy' ? 'info' : 'warning',
  });
}

export interface Due {
  rolloutId: RolloutId;
  nodeId: NodeId;
  attempt: string;
  serial: number;
  healthySeconds: number;
  /** By which its fence is longer meanwhile, as it is on record. */
  graceSeconds: number;
}

/** Machines that are to be given the release; `nodeId`: only this one. */
export async function due(db: Queryable, nodeId: NodeId | null = null): Promise<Due[]> {
  const { rows } = await db.query<Due>(
    `SELECT t.rollout_id AS "rolloutId", t.node_id AS "nodeId", t.attempt, r.serial,
       (r.terms->>'healthySeconds')::int AS "healthySeconds", m.fence_grace_seconds AS "graceSeconds"
     FROM agent_rollout_nodes t JOIN agent_rollouts r ON r.id = t.rollout_id JOIN nodes m ON m.id = t.node_id
     WHERE t.state = 'trying' AND t.sent_at IS NULL AND r.phase = 'running' AND ($1::text IS NULL OR t.node_id = $1)`,
    [nodeId],
  );
  return rows;
}
