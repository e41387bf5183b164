/** Slashes as they are read: a tenant sees its own part of each. */
import {
  type NodeId,
  type Slash,
  type SlashId,
  type SlashState,
  type TenantId,
  unitsInWords,
  type VerificationId,
} from '@iocloud/contracts';
import { Failure, type Queryable } from '../platform/index.js';

interface Row {
  id: SlashId;
  node_id: NodeId;
  state: SlashState;
  amount: string;
  reason: string;
  evidence: string;
  verification_id: VerificationId | null;
  decided_at: Date;
  appeal_until: Date;
  appeal: string | null;
  decision: string | null;
}

const toSlash = (row: Row): Slash => ({
  id: row.id,
  nodeId: row.node_id,
  state: row.state,
  amount: unitsInWords(BigInt(row.amount), 'IO'),
  reason: row.reason,
  evidence: row.evidence,
  verificationId: row.verification_id,
  decidedAt: row.decided_at.toISOString(),
  appealUntil: row.appeal_until.toISOString(),
  appeal: row.appeal,
  decision: row.decision,
});

/** `tenantId` null: all. What supplier and operator say to each other is theirs: others with a part see reason and amount. */
const columns = `s.id, s.node_id, s.state, s.reason, s.verification_id, s.decided_at, s.appeal_until, s.decision,
  CASE WHEN $1::text IS NULL OR s.tenant_id = $1 THEN s.evidence ELSE '' END AS evidence,
  CASE WHEN $1::text IS NULL OR s.tenant_id = $1 THEN s.appeal END AS appeal,
  (SELECT coalesce(sum(p.amount), 0)::text FROM token_slash_parts p
   WHERE p.slash_id = s.id AND ($1::text IS NULL OR p.staker_id = $1)) AS amount`;
const readable = `($1::text IS NULL OR s.tenant_id = $1
  OR EXISTS (SELECT FROM token_slash_parts p WHERE p.slash_id = s.id AND p.staker_id = $1))`;

/** Newest first. */
export async function listSlashes(
  db: Queryable,
  tenantId: TenantId | null,
  after: string | undefined,
  limit: number,
): Promise<Slash[]> {
  const { rows } = await db.query<Row>(
    `SELECT ${columns} FROM token_slashes s WHERE ${readable} AND ($2::text IS NULL OR
       (s.decided_at, s.id) < (SELECT decided_at, id FROM token_slashes WHERE id = $2))
     ORDER BY s.decided_at DESC, s.id DESC LIMIT $3`,
    [tenantId, after ?? null, limit],
  );
  return rows.map(toSlash);
}

/** Throws Failure 'not-found', also for one that the tenant has no part in. */
export async function getSlash(db: Queryable, tenantId: TenantId | null, id: SlashId): Promise<Slash> {
  const { rows } = await db.query<Row>(`SELECT ${columns} FROM token_slashes s WHERE ${readable} AND s.id = $2`, [
    tenantId,
    id,
  ]);
  if (!rows[0]) throw new Failure('not-found', `no slash ${id}`);
  return toSlash(rows[0]);
}
