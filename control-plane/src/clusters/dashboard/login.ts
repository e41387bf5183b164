/** From an API key to a browser's session: a link that logs in once, within minutes, to one cluster's dashboard. */
import type { ClusterId, MegaClusterId } from '@iocloud/contracts';
import { type Caller, Failure, type Queryable, type Signer } from '../../platform/index.js';

export const linkLifetimeMs = 5 * 60_000;
export const sessionLifetimeMs = 8 * 3_600_000;
const idBytes = 16;

/** `id` makes the link one that is used once. */
export function signLink(
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
export async function redeemLink(
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
export function sessionCookieText(name: string, token: string, secure: boolean): string {
  const attributes = ['HttpOnly', 'SameSite=Lax', 'Path=/clusters', `Max-Age=${sessionLifetimeMs / 1000}`];
  return [`${name}=${token}`, ...attributes, ...(secure ? ['Secure'] : [])].join('; ');
}
