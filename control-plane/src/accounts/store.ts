import {
  type ApiKey,
  type NewApiKey,
  newId,
  type Permission,
  type Role,
  rolePermissions,
  type Tenant,
  type TenantId,
  type User,
  type UserId,
} from '@iocloud/contracts';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';
import { type ApiKeySecret, formatApiKey, hashSecret } from './api-key.js';

export type RandomBytes = (n: number) => Buffer;

interface TenantRow {
  id: TenantId;
  name: string;
  created_at: Date;
}
interface UserRow {
  id: UserId;
  tenant_id: TenantId;
  name: string;
  role: Role;
  created_at: Date;
}
interface KeyRow {
  id: ApiKey['id'];
  user_id: UserId;
  name: string;
  scopes: Permission[];
  created_at: Date;
  expires_at: Date | null;
  revoked_at: Date | null;
}

const toTenant = (row: TenantRow): Tenant => ({ id: row.id, name: row.name, createdAt: row.created_at.toISOString() });
const toUser = (row: UserRow): User => ({
  id: row.id,
  tenantId: row.tenant_id,
  name: row.name,
  role: row.role,
  createdAt: row.created_at.toISOString(),
});
const toApiKey = (row: KeyRow): ApiKey => ({
  id: row.id,
  userId: row.user_id,
  name: row.name,
  scopes: row.scopes,
  createdAt: row.created_at.toISOString(),
  expiresAt: row.expires_at?.toISOString() ?? null,
  revokedAt: row.revoked_at?.toISOString() ?? null,
});

export async function insertTenant(tx: Transaction, name: string, random: RandomBytes): Promise<Tenant> {
  const { rows } = await tx.query<TenantRow>(
    'INSERT INTO tenants (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING *',
    [newId('tenant', random), name],
  );
  if (!rows[0]) throw new Failure('already-exists', `a tenant named ${name} exists`);
  return toTenant(rows[0]);
}

export async function getTenant(db: Queryable, tenantId: TenantId): Promise<Tenant> {
  const { rows } = await db.query<TenantRow>('SELECT * FROM tenants WHERE id = $1', [tenantId]);
  if (!rows[0]) throw new Failure('not-found', `no tenant ${tenantId}`);
  return toTenant(rows[0]);
}

export async function listTenants(db: Queryable, after: string, limit: number): Promise<Tenant[]> {
  const { rows } = await db.query<TenantRow>('SELECT * FROM tenants WHERE id > $1 ORDER BY id LIMIT $2', [
    after,
    limit,
  ]);
  return rows.map(toTenant);
}

/** Whoever changes what belongs to a tenant as a whole comes one after another; its jobs go on meanwhile. */
export async function lockTenant(tx: Transaction, tenantId: TenantId): Promise<Tenant> {
  await tx.query('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
  return getTenant(tx, tenantId);
}

export async function insertUser(
  tx: Transaction,
  tenantId: TenantId,
  name: string,
  role: Role,
  random: RandomBytes,
): Promise<User> {
  const { rows } = await tx.query<UserRow>(
    `INSERT INTO users (id, tenant_id, name, role) VALUES ($1, $2, $3, $4)
     ON CONFLICT (tenant_id, name) DO NOTHING RETURNING *`,
    [newId('user', random), tenantId, name, role],
  );
  if (!rows[0]) throw new Failure('already-exists', `a user named ${name} exists`);
  return toUser(rows[0]);
}

export async function getUser(db: Queryable, tenantId: TenantId, userId: UserId): Promise<User> {
  const { rows } = await db.query<UserRow>('SELECT * FROM users WHERE tenant_id = $1 AND id = $2', [tenantId, userId]);
  if (!rows[0]) throw new Failure('not-found', `no user ${userId}`);
  return toUser(rows[0]);
}

export async function listUsers(db: Queryable, tenantId: TenantId, after: string, limit: number): Promise<User[]> {
  const { rows } = await db.query<UserRow>(
    'SELECT * FROM users WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3',
    [tenantId, after, limit],
  );
  return rows.map(toUser);
}

export async function insertApiKey(
  tx: Transaction,
  user: User,
  key: ApiKeySecret,
  wanted: { name: string; scopes?: Permission[] | undefined; expiresAt?: string | undefined },
): Promise<NewApiKey> {
  const { rows } = await tx.query<KeyRow>(
    `INSERT INTO api_keys (id, tenant_id, user_id, name, secret_hash, scopes, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *`,
    [
      key.id,
      user.tenantId,
      user.id,
      wanted.name,
      hashSecret(key.secret),
      wanted.scopes ?? rolePermissions[user.role],
      wanted.expiresAt ?? null,
    ],
  );
  if (!rows[0]) throw new Error('an INSERT returned no row');
  return { ...toApiKey(rows[0]), secret: formatApiKey(key) };
}

export async function listApiKeys(db: Queryable, tenantId: TenantId, after: string, limit: number): Promise<ApiKey[]> {
  const { rows } = await db.query<KeyRow>(
    'SELECT * FROM api_keys WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3',
    [tenantId, after, limit],
  );
  return rows.map(toApiKey);
}

export async function revokeApiKey(tx: Transaction, tenantId: TenantId, keyId: string): Promise<ApiKey> {
  const { rows } = await tx.query<KeyRow>(
    `UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant_id = $1 AND id = $2 RETURNING *`,
    [tenantId, keyId],
  );
  if (!rows[0]) throw new Failure('not-found', `no API key ${keyId}`);
  return toApiKey(rows[0]);
}

/** The tenants of those who run the control plane. */
export async function operatorTenants(db: Queryable): Promise<TenantId[]> {
  const { rows } = await db.query<{ tenant_id: TenantId }>(
    "SELECT DISTINCT tenant_id FROM users WHERE role = 'operator'",
  );
  return rows.map(({ tenant_id }) => tenant_id);
}
