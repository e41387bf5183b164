/** The first tenant, user, key and machines, from a file that the launcher or the operator wrote. */
import { readFile } from 'node:fs/promises';
import { type NodeId, nodeId, rolePermissions, type TenantId } from '@iocloud/contracts';
import { z } from 'zod';
import type { Database, Transaction } from '../platform/index.js';
import { hashSecret, parseApiKey } from './api-key.js';
import { insertTenant, insertUser, type RandomBytes } from './store.js';

const bootstrapFile = z.object({
  tenant: z.string().default('default'),
  user: z.string().default('owner'),
  apiKey: z.string(),
  nodes: z
    .array(z.object({ id: nodeId, name: z.string(), publicKey: z.string(), shared: z.boolean().default(false) }))
    .default([]),
});

export interface BootstrapNode {
  id: NodeId;
  name: string;
  publicKey: string;
  shared: boolean;
}

/**
 * Makes what the file names and the database lacks; may run at every start. Returns the tenant and the machines that it
 * shall have. Throws when the file cannot be read or is no such file.
 */
export async function bootstrapAccounts(
  database: Database,
  file: string,
  random: RandomBytes,
): Promise<{ tenantId: TenantId; nodes: BootstrapNode[] }> {
  const wanted = bootstrapFile.parse(JSON.parse(await readFile(file, 'utf8')));
  const key = parseApiKey(wanted.apiKey);
  if (!key) throw new Error(`${file}: apiKey is no API key of this control plane`);
  const tenantId = await database.transaction(async tx => {
    // Replicas that start together make these rows once.
    await tx.query('SELECT pg_advisory_xact_lock(7265002)');
    const tenant =
      (await idByName<TenantId>(tx, 'SELECT id FROM tenants WHERE name = $1', [wanted.tenant])) ??
      (await insertTenant(tx, wanted.tenant, random)).id;
    const user =
      (await idByName(tx, 'SELECT id FROM users WHERE tenant_id = $1 AND name = $2', [tenant, wanted.user])) ??
      (await insertUser(tx, tenant, wanted.user, 'operator', random)).id;
    await tx.query(
      `INSERT INTO api_keys (id, tenant_id, user_id, name, secret_hash, scopes) VALUES ($1, $2, $3, 'bootstrap', $4, $5)
       ON CONFLICT (id) DO NOTHING`,
      [key.id, tenant, user, hashSecret(key.secret), rolePermissions.operator],
    );
    return tenant;
  });
  return { tenantId, nodes: wanted.nodes };
}

async function idByName<T extends string = string>(tx: Transaction, sql: string, values: string[]): Promise<T | null> {
  const { rows } = await tx.query<{ id: T }>(sql, values);
  return rows[0]?.id ?? null;
}
