/** For integration tests: a migrated PostgreSQL, Redis where wanted, tenants with keys; gone with all of it at `stop()`. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type RunningServer, startPostgres, startRedis } from '@iocloud/cli';
import type { ApiKeyId, Permission, Role, TenantId, UserId } from '@iocloud/contracts';
import { newApiKeySecret } from './accounts/index.js';
import { insertApiKey, insertTenant, insertUser } from './accounts/store.js';
import { createLogger, Database, type Logger, migrate } from './platform/index.js';

export interface Ground {
  database: Database;
  postgres: RunningServer;
  /** Null unless asked for. */
  redis: RunningServer | null;
  log: Logger;
  stop(): Promise<void>;
}

/** The package's own directory of migrations; tests run with the repository's root as working directory. */
const migrations = new URL(`file://${path.resolve('control-plane/migrations')}/`);

export async function startGround(options: { redis?: boolean } = {}): Promise<Ground> {
  const directory = await mkdtemp(path.join(tmpdir(), 'iocloud-ground-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const log = createLogger('error');
    const postgres = await startPostgres({ dataDir: path.join(directory, 'postgres') });
    ends.push(() => postgres.stop());
    const redis = options.redis ? await startRedis({ dataDir: path.join(directory, 'redis') }) : null;
    if (redis) ends.push(() => redis.stop());
    const database = new Database(postgres.url, log);
    ends.push(() => database.close());
    await migrate(database, migrations, log);
    return { database, postgres, redis, log, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export interface TestKey {
  tenantId: TenantId;
  userId: UserId;
  keyId: ApiKeyId;
  /** The key's text. */
  apiKey: string;
}

/** A tenant of its own with one user and one key. */
export async function newTenantKey(
  database: Database,
  wanted: { role?: Role; scopes?: Permission[]; expiresAt?: string } = {},
): Promise<TestKey> {
  return database.transaction(async tx => {
    const tenant = await insertTenant(tx, `tenant-${randomBytes(6).toString('hex')}`, randomBytes);
    const user = await insertUser(tx, tenant.id, 'someone', wanted.role ?? 'owner', randomBytes);
    const { role: _, ...key } = wanted;
    const made = await insertApiKey(tx, user, newApiKeySecret(randomBytes), { name: 'test', ...key });
    return { tenantId: tenant.id, userId: user.id, keyId: made.id, apiKey: made.secret };
  });
}

/** Calls a route; a body goes as JSON. Of the answer `body` is null where it is no JSON. */
export async function callWith(
  key: TestKey | undefined,
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const response = await fetch(url, {
    method,
    headers: { Authorization: `Bearer ${key?.apiKey}`, ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
  return { status: response.status, text, body: (isJson ? JSON.parse(text) : null) as any };
}
