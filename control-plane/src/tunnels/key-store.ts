import { newId, type SshKey, type SshKeyId, type TenantId, type UserId } from '@iocloud/contracts';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';
import type { PublicKey } from './public-key.js';

export interface KeyRow {
  id: SshKeyId;
  tenant_id: TenantId;
  user_id: UserId;
  name: string;
  public_key: string;
  fingerprint: string;
  created_at: Date;
  last_used_at: Date | null;
  /** False: from before keys had to prove whose they are. */
  proved: boolean;
}

export const toSshKey = (row: KeyRow): SshKey => ({
  id: row.id,
  userId: row.user_id,
  name: row.name,
  type: row.public_key.split(' ')[0] ?? '',
  fingerprint: row.fingerprint,
  proved: row.proved,
  createdAt: row.created_at.toISOString(),
  lastUsedAt: row.last_used_at?.toISOString() ?? null,
});

const perUser = 100;

/**
 * Of a key that has proved to be its owner's. It takes the place of a registration without proof, which `displaced` then is.
 * Throws Failure 'already-exists' where the key is registered, and 'conflict' where the user has too many.
 */
export async function insertKey(
  tx: Transaction,
  owner: { tenantId: TenantId; userId: UserId },
  name: string,
  key: PublicKey,
  random: (n: number) => Uint8Array,
): Promise<{ row: KeyRow; displaced: KeyRow | null }> {
  const { rows: held } = await tx.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM ssh_keys WHERE tenant_id = $1 AND user_id = $2',
    [owner.tenantId, owner.userId],
  );
  if ((held[0]?.count ?? 0) >= perUser) {
    throw new Failure('conflict', `a user may have ${perUser} SSH keys; remove one first`);
  }
  const { rows: unproven } = await tx.query<KeyRow>(
    'DELETE FROM ssh_keys WHERE public_key = $1 AND NOT proved RETURNING *',
    [key.line],
  );
  const { rows } = await tx.query<KeyRow>(
    `INSERT INTO ssh_keys (id, tenant_id, user_id, name, public_key, fingerprint, proved)
     VALUES ($1, $2, $3, $4, $5, $6, true) ON CONFLICT (public_key) DO NOTHING RETURNING *`,
    [newId('sshKey', random), owner.tenantId, owner.userId, name, key.line, key.fingerprint],
  );
  if (rows[0]) return { row: rows[0], displaced: unproven[0] ?? null };
  const { rows: others } = await tx.query<KeyRow>('SELECT * FROM ssh_keys WHERE public_key = $1', [key.line]);
  const mine = others[0]?.tenant_id === owner.tenantId && others[0]?.user_id === owner.userId;
  throw new Failure(
    'already-exists',
    mine
      ? `this key is registered already, as ${others[0]?.name} (${others[0]?.id})`
      : `the key ${key.fingerprint} is registered already, by another user: a key says who connects, so each user needs one of their own (ssh-keygen -t ed25519)`,
  );
}

export async function listKeys(db: Queryable, tenantId: TenantId, after: string, limit: number): Promise<KeyRow[]> {
  const { rows } = await db.query<KeyRow>(
    'SELECT * FROM ssh_keys WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3',
    [tenantId, after, limit],
  );
  return rows;
}

/** Throws Failure 'not-found'. */
export async function getKey(db: Queryable, tenantId: TenantId, id: string): Promise<KeyRow> {
  const { rows } = await db.query<KeyRow>('SELECT * FROM ssh_keys WHERE tenant_id = $1 AND id = $2', [tenantId, id]);
  if (!rows[0]) throw new Failure('not-found', `no SSH key ${id}`);
  return rows[0];
}

export async function deleteKey(tx: Transaction, tenantId: TenantId, id: string): Promise<void> {
  await tx.query('DELETE FROM ssh_keys WHERE tenant_id = $1 AND id = $2', [tenantId, id]);
}

/** Of whom the key with this line is, or null. */
export async function keyByLine(db: Queryable, line: string): Promise<KeyRow | null> {
  const { rows } = await db.query<KeyRow>({
    name: 'ssh-key-by-line',
    text: 'SELECT * FROM ssh_keys WHERE public_key = $1',
    values: [line],
  });
  return rows[0] ?? null;
}

export async function touchKey(db: Queryable, id: SshKeyId): Promise<void> {
  await db.query('UPDATE ssh_keys SET last_used_at = now() WHERE id = $1', [id]);
}

/** Those of these that are still registered. */
export async function keysAlive(db: Queryable, ids: readonly SshKeyId[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await db.query<{ id: string }>({
    name: 'ssh-keys-alive',
    text: 'SELECT id FROM ssh_keys WHERE id = ANY($1)',
    values: [ids],
  });
  return new Set(rows.map(row => row.id));
}
