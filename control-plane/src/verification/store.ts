/** Verifications as rows. */
import {
  type Appeal,
  type Inventory,
  type NodeId,
  newId,
  type TenantId,
  type Verdict,
  type Verification,
  type VerificationCheck,
  type VerificationId,
  type VerificationPass,
  type VerificationState,
} from '@iocloud/contracts';
import { type Expectation, type VerificationEvent, verificationTransitions } from '../core/verification/index.js';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';

export interface VerificationRow {
  id: VerificationId;
  node_id: NodeId;
  tenant_id: TenantId;
  device_index: number | null;
  device_uuid: string;
  device_model: string;
  hour: Date;
  due_at: Date;
  state: VerificationState;
  tries: number;
  expectation: Expectation | null;
  passes: VerificationPass[];
  checks: VerificationCheck[];
  seed: string | null;
  verdict: Verdict | null;
  reason: string;
  judged_at: Date | null;
}

interface AppealRow {
  appeal_reason: string | null;
  filed_by: string;
  filed_at: Date;
  decision: Appeal['decision'];
  decision_reason: string | null;
  decided_at: Date | null;
}

const shownColumns = `v.*, a.reason AS appeal_reason, a.filed_by, a.filed_at, a.decision, a.decision_reason, a.decided_at
  FROM verifications v LEFT JOIN verification_appeals a ON a.verification_id = v.id`;

export function toVerification(row: VerificationRow & AppealRow): Verification {
  const { expectation } = row;
  return {
    id: row.id,
    nodeId: row.node_id,
    device: { index: row.device_index, uuid: row.device_uuid, model: row.device_model },
    hour: row.hour.toISOString(),
    state: row.state,
    tries: row.tries,
    dueAt: row.state === 'judged' ? row.due_at.toISOString() : null,
    verdict: row.verdict,
    reason: row.reason,
    work: expectation?.work ?? null,
    basis: expectation?.basis ?? null,
    typicalMs: expectation?.typicalMs ?? null,
    slowestMs: expectation?.slowestMs ?? null,
    passesNeeded: expectation?.test.needed ?? null,
    passes: row.passes,
    checks: row.checks,
    seed: row.state === 'judged' ? row.seed : null,
    judgedAt: row.judged_at?.toISOString() ?? null,
    appeal:
      row.appeal_reason === null
        ? null
        : {
            reason: row.appeal_reason,
            filedBy: row.filed_by,
            filedAt: row.filed_at.toISOString(),
            decision: row.decision,
            decisionReason: row.decision_reason,
            decidedAt: row.decided_at?.toISOString() ?? null,
          },
  };
}

export async function listVerifications(
  db: Queryable,
  nodeId: NodeId,
  before: string | undefined,
  limit: number,
): Promise<Verification[]> {
  const { rows } = await db.query<VerificationRow & AppealRow>(
    `SELECT ${shownColumns} WHERE v.node_id = $1 AND ($2::text IS NULL OR (v.hour, v.id) <
         (SELECT hour, id FROM verifications WHERE id = $2)) ORDER BY v.hour DESC, v.id DESC LIMIT $3`,
    [nodeId, before ?? null, limit],
  );
  return rows.map(toVerification);
}

/** Of any node; `nodeId` where only that one's will do. */
export async function getVerification(
  db: Queryable,
  id: VerificationId,
  nodeId: NodeId | null = null,
): Promise<Verification & { tenantId: TenantId }> {
  const { rows } = await db.query<VerificationRow & AppealRow>(
    `SELECT ${shownColumns} WHERE v.id = $1 AND ($2::text IS NULL OR v.node_id = $2)`,
    [id, nodeId],
  );
  if (!rows[0])
    throw new Failure('not-found', `no verification ${id}; \`iocloud node verification <node>\` shows them`);
  return { ...toVerification(rows[0]), tenantId: rows[0].tenant_id };
}

export async function listAppeals(
  db: Queryable,
  open: boolean,
  after: string | undefined,
  limit: number,
): Promise<Verification[]> {
  const { rows } = await db.query<VerificationRow & AppealRow>(
    `SELECT ${shownColumns} WHERE a.reason IS NOT NULL AND (NOT $1 OR a.decision IS NULL)
       AND ($2::text IS NULL OR v.id > $2) ORDER BY v.id LIMIT $3`,
    [open, after ?? null, limit],
  );
  return rows.map(toVerification);
}

export interface NewVerification {
  nodeId: NodeId;
  tenantId: TenantId;
  deviceIndex: number | null;
  deviceUuid: string;
  deviceModel: string;
  hour: Date;
  dueAt: Date;
}

/** Null where one is open for the device. */
export async function insertVerification(
  tx: Queryable,
  wanted: NewVerification,
  random: (n: number) => Uint8Array,
): Promise<VerificationId | null> {
  const { rows } = await tx.query<{ id: VerificationId }>(
    `INSERT INTO verifications (id, node_id, tenant_id, device_index, device_uuid, device_model, hour, due_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id`,
    [
      newId('verification', random),
      wanted.nodeId,
      wanted.tenantId,
      wanted.deviceIndex,
      wanted.deviceUuid,
      wanted.deviceModel,
      wanted.hour,
      wanted.dueAt,
    ],
  );
  return rows[0]?.id ?? null;
}

/** What an event may set beside the state. */
export interface Change {
  tries?: number;
  due_at?: Date;
  held_until?: Date | null;
  expectation?: Expectation;
  passes?: VerificationPass[];
  checks?: VerificationCheck[];
  seed?: string;
  verdict?: Verdict;
  reason?: string;
  judged_at?: Date;
}

const jsonColumns = new Set(['expectation', 'passes', 'checks']);

/** Throws when the row has moved on, or the event cannot happen: then somebody else has it. */
export async function move(
  db: Queryable,
  row: Pick<VerificationRow, 'id' | 'state'>,
  event: VerificationEvent,
  change: Change = {},
): Promise<VerificationState> {
  const state = verificationTransitions[row.state][event];
  if (state === undefined) throw new Error(`${row.id} is ${row.state}: ${event} cannot happen`);
  const entries = Object.entries(change);
  const sets = ['state = $3', ...entries.map(([column], at) => `${column} = $${at + 4}`)];
  const { rowCount } = await db.query(`UPDATE verifications SET ${sets.join(', ')} WHERE id = $1 AND state = $2`, [
    row.id,
    row.state,
    state,
    ...entries.map(([column, value]) => (jsonColumns.has(column) ? JSON.stringify(value) : value)),
  ]);
  if (rowCount !== 1) throw new Error(`${row.id} is not ${row.state} any more`);
  return state;
}

export interface NodeFacts {
  id: NodeId;
  tenant_id: TenantId;
  name: string;
  public_key: string;
  /** Nobody can challenge it: no agent runs it. */
  provider_id: string | null;
  inventory: Inventory;
}

export async function nodeFacts(db: Queryable, nodeId: NodeId): Promise<NodeFacts | null> {
  const { rows } = await db.query<NodeFacts>(
    `SELECT id, tenant_id, name, public_key, provider_id, inventory FROM nodes
     WHERE id = $1 AND removed_at IS NULL AND inventory IS NOT NULL`,
    [nodeId],
  );
  return rows[0] ?? null;
}

/** The supplier's machines that are offered to others and are online. */
export async function sharedOf(db: Queryable, tenantId: TenantId): Promise<NodeFacts[]> {
  const { rows } = await db.query<NodeFacts>(
    `SELECT id, tenant_id, name, public_key, provider_id, inventory FROM nodes
     WHERE tenant_id = $1 AND shared AND online AND removed_at IS NULL AND inventory IS NOT NULL
       AND provider_id IS NULL ORDER BY id`,
    [tenantId],
  );
  return rows;
}

/** Times of this device's latest passes in challenges that it passed with work of this size. */
export async function ownPasses(
  db: Queryable,
  nodeId: NodeId,
  deviceUuid: string,
  deviceModel: string,
): Promise<number[]> {
  const { rows } = await db.query<{ passes: VerificationPass[] }>(
    `SELECT passes FROM verifications WHERE node_id = $1 AND device_uuid = $2 AND device_model = $3
       AND state = 'judged' AND verdict = 'passed' ORDER BY judged_at DESC LIMIT 24`,
    [nodeId, deviceUuid, deviceModel],
  );
  return rows.flatMap(({ passes }) =>
    passes.filter(({ pass }) => pass > 0).map(({ elapsedMs, networkMs }) => elapsedMs - networkMs),
  );
}

export async function setPolicy(tx: Transaction, required: boolean): Promise<void> {
  await tx.query('UPDATE verification_policy SET required = $1', [required]);
}
