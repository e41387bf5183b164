/** SSH keys, whose they may be: devices', renters', the server's own. */
import { timingSafeEqual } from 'node:crypto';
import { keyLine, parseSshKey } from '@iocloud/contracts/wire';
import type { PublicKeyAuthContext } from 'ssh2';

/** The public half of the server's private key, as one line. */
export function publicKeyLine(privateKey: Buffer): string {
  const key = parseSshKey(privateKey);
  if (!key) throw new Error('the host key cannot be read');
  return keyLine(key);
}

/**
 * True when the client offers this key and, once it signs, the signature is right. The first, unsigned offer is only a
 * question whether the key would do (RFC 4252 §7). RSA with SHA-1 is no proof any more.
 */
export function provesKey(context: PublicKeyAuthContext, line: string): boolean {
  const key = parseSshKey(line);
  if (!key || context.key.algo !== key.type) return false;
  const expected = key.getPublicSSH();
  const offered = context.key.data;
  if (offered.length !== expected.length || !timingSafeEqual(offered, expected)) return false;
  if (key.type === 'ssh-rsa' && context.hashAlgo === undefined) return false;
  if (!context.signature) return true;
  return context.blob !== undefined && key.verify(context.blob, context.signature, context.hashAlgo) === true;
}
