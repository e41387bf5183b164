/** What a route may demand of its caller. Every route of the API names exactly one, or `public`. */
import { z } from 'zod';

export const permissions = [
  'jobs:read',
  'jobs:write',
  'clusters:read',
  'clusters:write',
  'clusters:connect',
  'nodes:read',
  'nodes:write',
  'events:read',
  'accounts:read',
  'accounts:write',
  'audit:read',
  'billing:read',
  'webhooks:read',
  'webhooks:write',
  'usage:read',
  'usage:write',
  'payouts:write',
  'billing:write',
  'token:write',
  'metrics:read',
  'tenants:read',
  'tenants:write',
  'appeals:read',
  'appeals:write',
  'ledger:read',
  'ledger:write',
  'agent-releases:read',
  'agent-releases:write',
] as const;
export const permission = z.enum(permissions).meta({ id: 'Permission' });
export type Permission = z.infer<typeof permission>;

export const role = z.enum(['operator', 'owner', 'member', 'viewer']).meta({ id: 'Role' });
export type Role = z.infer<typeof role>;

/** What reaches beyond the caller's own tenant: for who runs the control plane, no matter whose owner they are. */
const operatorsAlone: readonly Permission[] = [
  'metrics:read',
  'tenants:read',
  'tenants:write',
  'appeals:read',
  'appeals:write',
  'ledger:read',
  'ledger:write',
  'agent-releases:read',
  'agent-releases:write',
];

/** The most that a role's keys may do; a key's scopes can only narrow it. */
export const rolePermissions: Record<Role, readonly Permission[]> = {
  operator: permissions,
  owner: permissions.filter(name => !operatorsAlone.includes(name)),
  member: [
    'jobs:read',
    'jobs:write',
    'clusters:read',
    'clusters:write',
    'clusters:connect',
    'nodes:read',
    'events:read',
    'accounts:read',
    'billing:read',
    'usage:read',
  ],
  viewer: ['jobs:read', 'clusters:read', 'nodes:read', 'events:read'],
};
