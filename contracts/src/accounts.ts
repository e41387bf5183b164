import { z } from 'zod';
import { apiKeyId, tenantId, userId } from './ids.js';
import { permission, role } from './permissions.js';

export const tenant = z.object({ id: tenantId, name: z.string(), createdAt: z.iso.datetime() }).meta({ id: 'Tenant' });
export const createTenant = z
  .object({ name: z.string().min(1).max(128), ownerName: z.string().min(1).max(128).default('owner') })
  .meta({ id: 'CreateTenant' });
export const user = z
  .object({ id: userId, tenantId, name: z.string(), role, createdAt: z.iso.datetime() })
  .meta({ id: 'User' });
export const createUser = z.object({ name: z.string().min(1).max(128), role }).meta({ id: 'CreateUser' });
export const apiKey = z
  .object({
    id: apiKeyId,
    userId,
    name: z.string(),
    scopes: z.array(permission),
    createdAt: z.iso.datetime(),
    expiresAt: z.iso.datetime().nullable(),
    revokedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'ApiKey' });
export const createApiKey = z
  .object({
    name: z.string().min(1).max(128),
    userId: userId.optional().describe('whose key; the caller’s own when absent'),
    scopes: z.array(permission).min(1).optional().describe('all that the user’s role allows when absent'),
    expiresAt: z.iso.datetime().optional(),
  })
  .meta({ id: 'CreateApiKey' });
export const newApiKey = apiKey
  .extend({ secret: z.string().describe('the key itself; shown this once, only its hash is kept') })
  .meta({ id: 'NewApiKey' });
export const newTenant = z.object({ tenant, owner: user, apiKey: newApiKey }).meta({ id: 'NewTenant' });
export const whoami = z
  .object({ tenant, user, keyId: apiKeyId, permissions: z.array(permission) })
  .meta({ id: 'Whoami' });
export type Tenant = z.infer<typeof tenant>;
export type User = z.infer<typeof user>;
export type ApiKey = z.infer<typeof apiKey>;
export type NewApiKey = z.infer<typeof newApiKey>;
export type Whoami = z.infer<typeof whoami>;
