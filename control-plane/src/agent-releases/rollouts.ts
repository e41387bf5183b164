/** Roll-outs as rows: begun, paused, resumed, taken back. What they do is fleet.ts's business. */
import {
  type NodeId,
  newId,
  type Rollout,
  type RolloutId,
  type RolloutNode,
  type RolloutPhase,
  type RolloutTerms,
  rolloutTerms,
} from '@iocloud/contracts';
import { type RolloutEvent, rolloutTransitions } from '../core/rollouts/index.js';
import { recordEvent } from '../events/index.js';
import { type Caller, Failure, type Queryable, type Transaction } from '../platform/index.js';
import { endGrant } from './grace.js';
import { serialOf } from './releases.js';

export const rolloutsLock = 7_265_077;
type Who = Pick<Caller, 'tenantId' | 'userId'>;
type Random = (n: number) => Uint8Array;

interface RolloutRow {
  id: RolloutId;
  serial: number;
  version: string;
  phase: RolloutPhase;
  reason: string;
  terms: Partial<RolloutTerms>;
  rolls_back: RolloutId | null;
  created_at: Date;
  trying: number;
  healthy: number;
  failed: number;
  waiting: number;
  offline: number;
  held: number;
}

/** Of a machine `m` and a roll-out `r`: it can change its release, the roll-out has not come to it, and it is for it. */
export const stillToGo = `m.removed_at IS NULL AND m.agent_serial IS NOT NULL AND m.agent_serial <> r.serial
  AND (r.rolls_back IS NULL OR m.agent_serial = (SELECT serial FROM agent_rollouts b WHERE b.id = r.rolls_back))`;
/** One that was sent away for its protocol asks again each minute. */
export const reachable = `(m.online OR coalesce(m.agent_refused_at > now() - interval '150 seconds', false))`;

const select = `
  SELECT r.*, e.version, tried.*, left_over.* FROM agent_rollouts r JOIN agent_releases e USING (serial)
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.state = 'trying')::int AS trying, count(*) FILTER (WHERE t.state = 'healthy')::int AS healthy,
      count(*) FILTER (WHERE t.state = 'failed')::int AS failed
    FROM agent_rollout_nodes t WHERE t.rollout_id = r.id) tried
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE m.agent_hold IS NULL AND ${reachable})::int AS waiting,
      count(*) FILTER (WHERE m.agent_hold IS NULL AND NOT ${reachable})::int AS offline,
      count(*) FILTER (WHERE m.agent_hold IS NOT NULL)::int AS held
    FROM nodes m WHERE ${stillToGo}
      AND NOT EXISTS (SELECT FROM agent_rollout_nodes t WHERE t.rollout_id = r.id AND t.node_id = m.id)) left_over`;

const shown = (row: RolloutRow): Rollout => ({
  id: row.id,
  version: row.version,
  serial: row.serial,
  phase: row.phase,
  reason: row.reason,
  rollsBack: row.rolls_back,
  terms: rolloutTerms.parse(row.terms),
  trying: row.trying,
  healthy: row.healthy,
  failed: row.failed,
  waiting: row.waiting,
  offline: row.offline,
  held: row.held,
  createdAt: row.created_at.toISOString(),
});

/** Throws Failure 'not-found'. */
export async function rolloutOf(db: Queryable, id: RolloutId): Promise<Rollout> {
  const { rows } = await db.query<RolloutRow>(`${select} WHERE r.id = $1`, [id]);
  if (!rows[0])
    throw new Failure('not-found', `no roll-out ${id}; \`iocloud agent-release status\` shows the one in force`);
  return shown(rows[0]);
}

/** Newest first. */
export async function rollouts(db: Queryable, after: string | undefined, limit: number): Promise<Rollout[]> {
  const { rows } = await db.query<RolloutRow>(
    `${select} WHERE $1::text IS NULL OR r.created_at < (SELECT created_at FROM agent_rollouts WHERE id = $1)
     ORDER BY r.created_at DESC LIMIT $2`,
    [after ?? null, limit],
  );
  return rows.map(shown);
}

export async function rolloutNodes(db: Queryable, id: RolloutId, after: string, limit: number): Promise<RolloutNode[]> {
  await rolloutOf(db, id);
  const { rows } = await db.query<RolloutNode & { changedAt: Date }>(
    `SELECT t.node_id AS "nodeId", m.name, t.state, t.from_version AS "fromVersion", t.reason, t.changed_at AS "changedAt"
     FROM agent_rollout_nodes t JOIN nodes m ON m.id = t.node_id
     WHERE t.rollout_id = $1 AND t.node_id > $2 ORDER BY t.node_id LIMIT $3`,
    [id, after, limit],
  );
  return rows.map(row => ({ ...row, changedAt: row.changedAt.toISOString() }));
}

interface Wish {
  serial: number;
  terms: RolloutTerms;
  paused: boolean;
  rollsBack: RolloutId | null;
}

export async function start(
  tx: Transaction,
  who: Who,
  random: Random,
  { version, paused, ...terms }: RolloutTerms & { version: string; paused: boolean },
): Promise<Rollout> {
  const inForce = await lockInForce(tx);
  if (inForce && inForce.trying > 0) {
    const where = `${inForce.trying} machines are just changing to ${inForce.version}`;
    throw new Failure('conflict', `${where}: pause that roll-out and wait, or roll it back`);
  }
  return insert(tx, who, random, { serial: await serialOf(tx, version), terms, paused, rollsBack: null });
}

async function insert(tx: Transaction, who: Who, random: Random, wish: Wish): Promise<Rollout> {
  await tx.query(`UPDATE agent_rollouts SET phase = 'superseded' WHERE phase <> 'superseded'`);
  const id = newId('rollout', random);
  await tx.query(
    `INSERT INTO agent_rollouts (id, serial, phase, reason, terms, rolls_back, tenant_id, user_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      id,
      wish.serial,
      wish.paused ? 'paused' : 'running',
      wish.paused ? 'not yet begun' : '',
      JSON.stringify(wish.terms),
      wish.rollsBack,
      who.tenantId,
      who.userId,
    ],
  );
  const made = await rolloutOf(tx, id);
  const what = wish.rollsBack === null ? 'rolls out' : `takes ${wish.rollsBack} back to`;
  await tell(tx, who, 'AgentRolloutStarted', `${who.userId} ${what} the agent ${made.version} (${id})`);
  return made;
}

/** Locks them all: there is one in force, and it changes by one hand at a time. */
async function lockInForce(tx: Transaction): Promise<Rollout | null> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [rolloutsLock]);
  const { rows } = await tx.query<RolloutRow>(`${select} WHERE r.phase <> 'superseded'`);
  return rows[0] ? shown(rows[0]) : null;
}

async function lockIfInForce(tx: Transaction, id: RolloutId): Promise<Rollout> {
  const inForce = await lockInForce(tx);
  if (inForce?.id === id) return inForce;
  const { version } = await rolloutOf(tx, id);
  throw new Failure('conflict', `the roll-out ${id} of ${version} is not in force any more`);
}

export async function pause(tx: Transaction, who: Who, id: RolloutId): Promise<Rollout> {
  const rollout = await lockIfInForce(tx, id);
  if (rollout.phase === 'paused') return rollout;
  await move(tx, rollout, 'pause', `${who.userId} paused it`);
  await withdraw(tx, id);
  await tell(tx, who, 'AgentRolloutPaused', `${who.userId} paused the roll-out ${id} of the agent ${rollout.version}`);
  return rolloutOf(tx, id);
}

export async function resume(tx: Transaction, who: Who, id: RolloutId): Promise<Rollout> {
  const rollout = await lockIfInForce(tx, id);
  if (rollout.phase === 'running') return rollout;
  await move(tx, rollout, 'resume', '');
  // What failed is tried again: somebody has looked into it. The history keeps what there was.
  await tx.query(`DELETE FROM agent_rollout_nodes WHERE rollout_id = $1 AND state = 'failed'`, [id]);
  await tell(
    tx,
    who,
    'AgentRolloutResumed',
    `${who.userId} resumed the roll-out ${id} of the agent ${rollout.version}`,
  );
  return rolloutOf(tx, id);
}

/** To what most of its machines ran before: all at once, as each has run that and gone well. */
export async function rollBack(tx: Transaction, who: Who, random: Random, id: RolloutId): Promise<Rollout> {
  const rollout = await lockIfInForce(tx, id);
  await withdraw(tx, id);
  const { rows } = await tx.query<{ serial: number; known: boolean }>(
    `SELECT t.from_serial AS serial, bool_or(e.serial IS NOT NULL) AS known
     FROM agent_rollout_nodes t LEFT JOIN agent_releases e ON e.serial = t.from_serial
     WHERE t.rollout_id = $1 AND t.state <> 'failed' GROUP BY 1 ORDER BY count(*) DESC, 1 DESC LIMIT 1`,
    [id],
  );
  if (!rows[0])
    throw new Failure('conflict', `the roll-out ${id} has upgraded no machine: there is nothing to take back`);
  if (!rows[0].known)
    throw new Failure('conflict', 'what its machines ran before is not published here: publish it first');
  const terms = { ...rollout.terms, canaries: 1000, batchPercent: 100, maxFailedPercent: 100 };
  return insert(tx, who, random, { serial: rows[0].serial, terms, paused: false, rollsBack: id });
}

/** Throws Failure 'conflict' for an event that cannot happen. */
export async function move(
  tx: Transaction,
  { id, phase }: Pick<Rollout, 'id' | 'phase'>,
  event: RolloutEvent,
  reason: string,
) {
  const to = rolloutTransitions[phase][event];
  if (!to) throw new Failure('conflict', `a roll-out that is ${phase} cannot be told to ${event}`);
  await tx.query('UPDATE agent_rollouts SET phase = $2, reason = $3 WHERE id = $1', [id, to, reason]);
}

/** Machines that have not been given anything go back into the queue. */
async function withdraw(tx: Transaction, id: RolloutId): Promise<void> {
  const { rows } = await tx.query<{ node_id: NodeId }>(
    `DELETE FROM agent_rollout_nodes WHERE rollout_id = $1 AND state = 'trying' AND sent_at IS NULL RETURNING node_id`,
    [id],
  );
  await endGrant(
    tx,
    rows.map(row => row.node_id),
  );
}

export const tell = (tx: Transaction, { tenantId, userId }: Who, reason: string, message: string, warning = false) =>
  recordEvent(tx, {
    tenantId,
    subjectKind: 'account',
    subject: userId,
    reason,
    message,
    ...(warning ? { severity: 'warning' as const } : {}),
  });
