/** What a route may demand of its caller. Every route of the API names exactly one, or `public`. */
import { z } from 'zod';

export const permissions = [
  'jobs:read',
  'jobs:write',
  'clusters:read',
  'clusters:write',
  'nodes:read',
  'nodes:write',
  'events:read',
  'accounts:read',
  'accounts:write',
  'metrics:read',
  'tenants:write',
] as const;
export const permission = z.enum(permissions).meta({ id: 'Permission' });
export type Permission = z.infer<typeof permission>;

export const role = z.enum(['operator', 'owner', 'member', 'viewer']).meta({ id: 'Role' });
export type Role = z.infer<typeof role>;

/** The most that a role's keys may do; a key's scopes can only narrow it. */
export const rolePermissions: Record<Role, readonly Permission[]> = {
  operator: permissions,
  owner: permissions.filter(name => name !== 'tenants:write' && name !== 'metrics:read'),
  member: ['jobs:read', 'jobs:write', 'clusters:read', 'clusters:write', 'nodes:read', 'events:read', 'accounts:read'],
  viewer: ['jobs:read', 'clusters:read', 'nodes:read', 'events:read'],
};
