/** Whether what was allowed when something began is allowed still. */
import { type Permission, type Role, rolePermissions } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

interface Row {
  id: string;
  role: Role;
  /** Null for a user. */
  scopes: Permission[] | null;
}

/** Those of these users (by their role) and API keys (by theirs and their user's) that may do it now. */
export async function mayNow(db: Queryable, ids: readonly string[], permission: Permission): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await db.query<Row>({
    name: 'may-now',
    text: `SELECT id, role, NULL::text[] AS scopes FROM users WHERE id = ANY($1)
           UNION ALL
           SELECT k.id, u.role, k.scopes FROM api_keys k JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
           WHERE k.id = ANY($1) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())`,
    values: [ids],
  });
  const may = ({ role, scopes }: Row) =>
    rolePermissions[role].includes(permission) && (scopes === null || scopes.includes(permission));
  return new Set(rows.filter(may).map(row => row.id));
}
