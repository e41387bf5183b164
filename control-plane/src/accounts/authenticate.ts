/** Finds out who calls, from an API key or from a browser's session cookie. */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type Permission, type Role, rolePermissions, type TenantId, type UserId } from '@iocloud/contracts';
import { type Authenticate, Batcher, type Caller, Failure, type Queryable, type Signer } from '../platform/index.js';
import { hashSecret, parseApiKey } from './api-key.js';

/** Sent to /clusters/ alone, and honoured there alone: a page that a cluster serves can never reach /v1 with it. */
export const sessionCookie = 'iocloud_session';

interface KeyRow {
  id: string;
  tenant_id: TenantId;
  user_id: UserId;
  secret_hash: Buffer;
  scopes: Permission[];
  role: Role;
}

// A Ray head words it so, and Ray's client shows it to its user.
const missing = new Failure('unauthenticated', 'Unauthorized: Missing authentication token');
const invalid = new Failure('unauthenticated', 'Unauthorized: Invalid authentication token');

async function load(db: Queryable, keyIds: string[]): Promise<(KeyRow | undefined)[]> {
  const { rows } = await db.query<KeyRow>({
    name: 'authenticate',
    text: `SELECT k.id, k.tenant_id, k.user_id, k.secret_hash, k.scopes, u.role
           FROM api_keys k JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
           WHERE k.id = ANY($1) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())`,
    values: [keyIds],
  });
  const byId = new Map(rows.map(row => [row.id, row]));
  return keyIds.map(id => byId.get(id));
}

type FindKey = (keyId: string) => Promise<KeyRow | undefined>;
const maxKeysAtOnce = 100;
/** What a busy process adds to a call at most, for one query where there were many. */
const keySpacingMs = 4;

/** Whom an API key stands for. Throws Failure 'unauthenticated'. */
export const callerOfKey = (db: Queryable, text: string): Promise<Caller> =>
  identify(async keyId => (await load(db, [keyId]))[0], text);

/** Whom the key with this id stands for, where something that we signed names it. Throws Failure 'unauthenticated'. */
export async function callerOfKeyId(db: Queryable, keyId: string): Promise<Caller> {
  const [row] = await load(db, [keyId]);
  if (!row) throw invalid;
  return toCaller(keyId, row);
}

async function identify(find: FindKey, text: string): Promise<Caller> {
  const key = parseApiKey(text);
  const row = key ? await find(key.id) : undefined;
  // The hash is computed for unknown keys too, so that time does not tell which ids exist.
  const hash = hashSecret(key?.secret ?? '');
  if (!key || !row || !timingSafeEqual(hash, row.secret_hash)) throw invalid;
  return toCaller(key.id, row);
}

export function authenticator(db: Queryable, signer: Signer): Authenticate {
  // Calls that come at the same time share a query; each is made after its call came, so a revoked key is one at once.
  const lookUps = new Batcher<string, KeyRow | undefined>(
    keyIds => load(db, keyIds),
    maxKeysAtOnce,
    undefined,
    keySpacingMs,
  );
  const find: FindKey = keyId => lookUps.add(keyId);
  return async (request, { cookies }) => {
    const token = bearerToken(request);
    if (token !== null) return identify(find, token);
    const session = cookies ? readCookie(request, sessionCookie) : null;
    if (session === null) throw missing;
    refuseForeignOrigin(request);
    const keyId = signer.verify('session', session)?.keyId;
    // The session ends with its key: a revoked key's cookie opens nothing.
    const row = typeof keyId === 'string' ? await find(keyId) : undefined;
    if (!row) throw invalid;
    return toCaller(keyId as string, row);
  };
}

function toCaller(keyId: string, row: KeyRow): Caller {
  const allowed = rolePermissions[row.role];
  return {
    tenantId: row.tenant_id,
    userId: row.user_id,
    keyId,
    permissions: new Set(row.scopes.filter(scope => allowed.includes(scope))),
  };
}

/** Ray's clients send Authorization; a proxy between may have moved it to X-Ray-Authorization, as Ray's own do. */
export function bearerToken(request: IncomingMessage): string | null {
  const header = request.headers.authorization ?? request.headers['x-ray-authorization'];
  if (typeof header !== 'string') return null;
  const match = /^Bearer +(\S+)$/i.exec(header);
  return match?.[1] ?? '';
}

export function readCookie(request: IncomingMessage, name: string): string | null {
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const [key, ...value] = part.trim().split('=');
    if (key === name) return value.join('=');
  }
  return null;
}

/** A cookie comes along with requests that another site makes; those say so. */
function refuseForeignOrigin(request: IncomingMessage): void {
  const { origin, host } = request.headers;
  const foreign = origin !== undefined && URL.canParse(origin) && new URL(origin).host !== host;
  const site = request.headers['sec-fetch-site'];
  if (foreign || origin === 'null' || (request.method !== 'GET' && site !== undefined && site !== 'same-origin')) {
    throw new Failure('permission-denied', 'a page of another site may not use this session');
  }
}
