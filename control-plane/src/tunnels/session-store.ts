/** The record of shells, transfers and forwards: who, when, where, from where; never what they carried. */
import type {
  ApiKeyId,
  ClusterId,
  LeaseId,
  NodeId,
  SshSession,
  SshSessionId,
  SshSessionKind,
  TenantId,
  UserId,
} from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

export interface NewSession {
  id: SshSessionId;
  tenantId: TenantId;
  userId: UserId;
  kind: SshSessionKind;
  via: SshSession['via'];
  keyFingerprint: string | null;
  apiKeyId: ApiKeyId | null;
  address: string;
  clusterId: ClusterId | null;
  leaseId: LeaseId | null;
  nodeId: NodeId | null;
  target: string | null;
  /** Why it was refused; null where it begins. */
  refused: string | null;
}

interface Row {
  id: SshSessionId;
  sequence: number;
  user_id: UserId;
  kind: SshSessionKind;
  via: SshSession['via'];
  key_fingerprint: string | null;
  api_key_id: ApiKeyId | null;
  address: string;
  cluster_id: ClusterId | null;
  lease_id: LeaseId | null;
  node_id: NodeId | null;
  target: string | null;
  bytes_in: number;
  bytes_out: number;
  started_at: Date;
  ended_at: Date | null;
  end_reason: string | null;
}

const longestReason = 500;
const longestTarget = 300;
/** A record that no process has kept fresh for so long is closed. Seconds. */
const staleSeconds = 60;

const toSession = (row: Row): SshSession => ({
  id: row.id,
  kind: row.kind,
  via: row.via,
  userId: row.user_id,
  keyFingerprint: row.key_fingerprint,
  apiKeyId: row.api_key_id,
  address: row.address,
  clusterId: row.cluster_id,
  leaseId: row.lease_id,
  nodeId: row.node_id,
  target: row.target,
  startedAt: row.started_at.toISOString(),
  endedAt: row.ended_at?.toISOString() ?? null,
  bytesIn: row.bytes_in,
  bytesOut: row.bytes_out,
  endReason: row.end_reason,
});

export async function insertSession(db: Queryable, session: NewSession): Promise<void> {
  await db.query({
    name: 'insert-ssh-session',
    text: `INSERT INTO ssh_sessions (id, tenant_id, user_id, kind, via, key_fingerprint, api_key_id, address, cluster_id,
             lease_id, node_id, target, end_reason, ended_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, CASE WHEN $13::text IS NULL THEN NULL ELSE now() END)`,
    values: [
      session.id,
      session.tenantId,
      session.userId,
      session.kind,
      session.via,
      session.keyFingerprint,
      session.apiKeyId,
      session.address,
      session.clusterId,
      session.leaseId,
      session.nodeId,
      session.target?.slice(0, longestTarget) ?? null,
      session.refused?.slice(0, longestReason) ?? null,
    ],
  });
}

export interface Counted {
  id: SshSessionId;
  bytesIn: number;
  bytesOut: number;
}

/** Says that these go on, and what they have carried. */
export async function keepSessions(db: Queryable, sessions: readonly Counted[]): Promise<void> {
  if (sessions.length === 0) return;
  await db.query({
    name: 'keep-ssh-sessions',
    text: `UPDATE ssh_sessions s SET seen_at = now(), bytes_in = v.bytes_in, bytes_out = v.bytes_out
           FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS v (id, bytes_in, bytes_out)
           WHERE s.id = v.id AND s.ended_at IS NULL`,
    values: [
      sessions.map(session => session.id),
      sessions.map(session => session.bytesIn),
      sessions.map(session => session.bytesOut),
    ],
  });
}

export async function endSession(db: Queryable, { id, bytesIn, bytesOut }: Counted, reason: string): Promise<void> {
  await db.query({
    name: 'end-ssh-session',
    text: `UPDATE ssh_sessions SET ended_at = now(), end_reason = $4, bytes_in = $2, bytes_out = $3
           WHERE id = $1 AND ended_at IS NULL`,
    values: [id, bytesIn, bytesOut, reason.slice(0, longestReason)],
  });
}

/** Closes what a process carried that has died: it ended with it, at the latest when the process last said that it lived. */
export async function endStale(db: Queryable): Promise<void> {
  await db.query(
    `UPDATE ssh_sessions SET ended_at = seen_at, end_reason = 'the control plane process that carried it has ended'
     WHERE ended_at IS NULL AND seen_at < now() - make_interval(secs => $1)`,
    [staleSeconds],
  );
}

const deletedAtOnce = 10_000;

/** Forgets, oldest first, at most so many of those that ended longer ago than they are kept. Returns whether there may be more. */
export async function forgetOld(db: Queryable, keptDays: number, atOnce = deletedAtOnce): Promise<boolean> {
  const { rowCount } = await db.query(
    `DELETE FROM ssh_sessions WHERE id = ANY(ARRAY(
       SELECT id FROM ssh_sessions WHERE ended_at < now() - make_interval(days => $1) ORDER BY ended_at LIMIT $2))`,
    [keptDays, atOnce],
  );
  return rowCount === atOnce;
}

export interface SessionFilter {
  cluster?: string | undefined;
  user?: string | undefined;
  live: boolean;
  /** The id that the page before ended with. */
  after?: string | undefined;
  limit: number;
}

/** Newest first. */
export async function listSessions(db: Queryable, tenantId: TenantId, filter: SessionFilter): Promise<SshSession[]> {
  const { rows } = await db.query<Row>(
    `SELECT * FROM ssh_sessions
     WHERE tenant_id = $1 AND ($2::text IS NULL OR cluster_id = $2) AND ($3::text IS NULL OR user_id = $3)
       AND (NOT $4 OR ended_at IS NULL)
       AND ($5::text IS NULL OR sequence < (SELECT sequence FROM ssh_sessions WHERE tenant_id = $1 AND id = $5))
     ORDER BY sequence DESC LIMIT $6`,
    [tenantId, filter.cluster ?? null, filter.user ?? null, filter.live, filter.after ?? null, filter.limit],
  );
  return rows.map(toSession);
}
