/** Logs a browser in: an API key becomes a signed cookie that only /clusters/ gets to see. */
import type { IncomingMessage } from 'node:http';
import { callerOfKey, sessionCookie } from '../accounts/index.js';
import { Failure, type Queryable, type Signer } from '../platform/index.js';

const sessionMs = 12 * 3_600_000;
const longestFormBytes = 8_192;

/** A path under /clusters/ on this very server, else /clusters/ itself. */
export function localNext(wanted: string | null | undefined): string {
  const fallback = '/clusters/';
  // A backslash and control characters are read by browsers as what they are not.
  if (!wanted || !/^\/clusters\/[\w\-./~%?=&+#:@!$'()*,;]*$/.test(wanted)) return fallback;
  const base = 'http://local.invalid';
  const url = URL.canParse(wanted, base) ? new URL(wanted, base) : null;
  if (url?.origin !== base || !url.pathname.startsWith('/clusters/')) return fallback;
  return url.pathname + url.search + url.hash;
}

/**
 * Another site must not log our reader in as somebody else. Browsers name the origin of every form that they send;
 * what names none is no browser.
 */
export function refuseForeignForm(request: IncomingMessage, publicUrl: string | undefined): void {
  const { origin, host } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const hosts = [host, publicUrl && new URL(publicUrl).host];
  const own = origin === undefined || (URL.canParse(origin) && hosts.includes(new URL(origin).host));
  if (!own || (site !== undefined && site !== 'same-origin' && site !== 'none')) {
    throw new Failure('permission-denied', 'this form came from another site; log in on the page of this address');
  }
}

/** Reads a form (application/x-www-form-urlencoded). Throws Failure 'payload-too-large' or 'bad-request'. */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/x-www-form-urlencoded') {
    throw new Failure('bad-request', 'the login is a form: send application/x-www-form-urlencoded');
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > longestFormBytes) throw new Failure('payload-too-large', 'the login form is larger than 8 KiB');
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

/** The Set-Cookie of a login. Throws Failure 'unauthenticated'. */
export async function sessionOf(db: Queryable, signer: Signer, key: string, secure: boolean): Promise<string> {
  const caller = await callerOfKey(db, key.trim());
  return cookie(signer.sign('session', { keyId: caller.keyId }, sessionMs), sessionMs / 1000, secure);
}

/** The Set-Cookie of a logout. */
export const endedSession = (secure: boolean) => cookie('', 0, secure);

function cookie(value: string, maxAgeSeconds: number, secure: boolean): string {
  const attributes = `Path=/clusters; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
  return `${sessionCookie}=${value}; ${attributes}`;
}
