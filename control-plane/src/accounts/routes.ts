import { api, type Permission, rolePermissions } from '@iocloud/contracts';
import { recordEvent } from '../events/index.js';
import { type Caller, type Database, Failure, type Http } from '../platform/index.js';
import { newApiKeySecret } from './api-key.js';
import * as store from './store.js';

export function accountRoutes(http: Http, database: Database, random: store.RandomBytes): void {
  http.handle(api.whoami, async ({ caller }) => ({
    tenant: await store.getTenant(database, caller.tenantId),
    user: await store.getUser(database, caller.tenantId, caller.userId),
    keyId: caller.keyId as never,
    permissions: [...caller.permissions],
  }));

  http.handle(api.createTenant, async ({ body }) =>
    database.transaction(async tx => {
      const tenant = await store.insertTenant(tx, body.name, random);
      const owner = await store.insertUser(tx, tenant.id, body.ownerName, 'owner', random);
      const apiKey = await store.insertApiKey(tx, owner, newApiKeySecret(random), { name: 'first key' });
      return { tenant, owner, apiKey };
    }),
  );

  http.handle(api.listTenants, async ({ query }) => {
    const items = await store.listTenants(database, query.after ?? '', query.limit);
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });

  http.handle(api.listUsers, async ({ caller, query }) => {
    const items = await store.listUsers(database, caller.tenantId, query.after ?? '', query.limit);
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });

  http.handle(api.createUser, async ({ caller, body }) =>
    database.transaction(async tx => {
      refuseMoreThanOwn(caller, rolePermissions[body.role], `the role ${body.role}`);
      const user = await store.insertUser(tx, caller.tenantId, body.name, body.role, random);
      await recordEvent(tx, {
        tenantId: caller.tenantId,
        subjectKind: 'account',
        subject: user.id,
        reason: 'UserCreated',
        message: `${caller.userId} created the user ${body.name} as ${body.role}`,
      });
      return user;
    }),
  );

  http.handle(api.listApiKeys, async ({ caller, query }) => {
    const items = await store.listApiKeys(database, caller.tenantId, query.after ?? '', query.limit);
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });

  http.handle(api.createApiKey, async ({ caller, body }) =>
    database.transaction(async tx => {
      const user = await store.getUser(tx, caller.tenantId, body.userId ?? caller.userId);
      const scopes = body.scopes ?? rolePermissions[user.role].filter(scope => caller.permissions.has(scope));
      refuseMoreThanOwn(caller, scopes, 'the scopes asked for');
      const key = await store.insertApiKey(tx, user, newApiKeySecret(random), { ...body, scopes: [...scopes] });
      await recordEvent(tx, {
        tenantId: caller.tenantId,
        subjectKind: 'account',
        subject: key.id,
        reason: 'ApiKeyCreated',
        message: `${caller.userId} created the API key ${body.name} for ${user.name}`,
      });
      return key;
    }),
  );

  http.handle(api.revokeApiKey, async ({ caller, params }) =>
    database.transaction(async tx => {
      const key = await store.revokeApiKey(tx, caller.tenantId, params.keyId);
      await recordEvent(tx, {
        tenantId: caller.tenantId,
        subjectKind: 'account',
        subject: key.id,
        reason: 'ApiKeyRevoked',
        message: `${caller.userId} revoked the API key ${key.name}`,
      });
      return key;
    }),
  );
}

/** Nobody hands on what they do not hold. */
function refuseMoreThanOwn(caller: Caller, wanted: readonly Permission[], what: string): void {
  const missing = wanted.filter(permission => !caller.permissions.has(permission));
  if (missing.length > 0) {
    throw new Failure('permission-denied', `${what} would grant ${missing.join(', ')}, which your own key lacks`);
  }
}
