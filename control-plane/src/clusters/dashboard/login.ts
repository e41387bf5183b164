/** From an API key to a browser's session: a link that logs in once, within minutes, to one cluster's dashboard. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ClusterId, MegaClusterId } from '@iocloud/contracts';
import { sessionCookie } from '../../accounts/index.js';
import { type Caller, type Config, Failure, type Queryable, type Signer } from '../../platform/index.js';

const linkLifetimeMs = 5 * 60_000;
const sessionLifetimeMs = 8 * 3_600_000;
const idBytes = 16;

export interface LoginWiring {
  config: Pick<Config, 'publicUrl'>;
  database: Queryable;
  signer: Signer;
  random(n: number): Uint8Array;
  now(): Date;
}

/** `path`: below which the login lies, with its last slash. */
export function loginLink(
  { config, signer, random, now }: LoginWiring,
  caller: Caller,
  request: IncomingMessage,
  to: { id: ClusterId | MegaClusterId; path: string },
): { url: string; expiresAt: string } {
  const base = config.publicUrl?.replace(/\/+$/, '') ?? `http://${request.headers.host ?? ''}`;
  return {
    url: `${base}${to.path}login?link=${signLink(signer, caller, to.id, random)}`,
    expiresAt: new Date(now().getTime() + linkLifetimeMs).toISOString(),
  };
}

/** Logs the browser in that comes with a link, and sends it on to `location`. Throws as `redeemLink` does. */
export async function openSession(
  { config, database, signer }: LoginWiring,
  response: ServerResponse,
  to: { id: ClusterId | MegaClusterId; link: string; location: string },
): Promise<void> {
  const session = await redeemLink(database, signer, to.id, to.link);
  const secure = config.publicUrl?.startsWith('https:') ?? false;
  response
    .writeHead(303, {
      'Set-Cookie': sessionCookieText(sessionCookie, session, secure),
      'Cache-Control': 'no-store',
      'Referrer-Policy': 'no-referrer',
      Location: to.location,
    })
    .end();
}

/** `id` makes the link one that is used once. */
function signLink(
  signer: Signer,
  caller: Caller,
  clusterId: ClusterId | MegaClusterId,
  random: (n: number) => Uint8Array,
): string {
  const id = Buffer.from(random(idBytes)).toString('hex');
  return signer.sign('dashboard-link', { id, clusterId, keyId: caller.keyId }, linkLifetimeMs);
}

/**
 * Takes a link in exchange for a session's token. Throws Failure 'unauthenticated' for a link that is forged, expired,
 * of another cluster, or used before.
 */
async function redeemLink(
  db: Queryable,
  signer: Signer,
  clusterId: ClusterId | MegaClusterId,
  link: string,
): Promise<string> {
  const value = signer.verify('dashboard-link', link);
  const refused = new Failure('unauthenticated', 'this link has expired or was used before; ask for a new one');
  if (typeof value?.id !== 'string' || typeof value.keyId !== 'string' || value.clusterId !== clusterId) throw refused;
  const { rowCount } = await db.query(
    `INSERT INTO dashboard_links_used (id, expires_at) VALUES ($1, to_timestamp($2::float8 / 1000)) ON CONFLICT DO NOTHING`,
    [value.id, value.exp],
  );
  if (rowCount !== 1) throw refused;
  return signer.sign('session', { keyId: value.keyId }, sessionLifetimeMs);
}

/** Sent to /clusters alone, out of scripts' reach, and not with what other sites' pages send. */
function sessionCookieText(name: string, token: string, secure: boolean): string {
  const attributes = ['HttpOnly', 'SameSite=Lax', 'Path=/clusters', `Max-Age=${sessionLifetimeMs / 1000}`];
  return [`${name}=${token}`, ...attributes, ...(secure ? ['Secure'] : [])].join('; ');
}
