/** Device keys: the public half as enrolled, and the check that a connection holds the private half. */
import { timingSafeEqual } from 'node:crypto';
import ssh2, { type ParsedKey, type PublicKeyAuthContext } from 'ssh2';
import { Failure } from '../platform/index.js';

/** Normalises one line of OpenSSH text to `ssh-ed25519 <base64>`. Throws Failure 'bad-request'. */
export function normalisePublicKey(text: string): string {
  const key = parse(text);
  if (!key || key.isPrivateKey() || key.type !== 'ssh-ed25519') {
    throw new Failure('bad-request', 'publicKey: expected one line in OpenSSH format that starts with ssh-ed25519');
  }
  return `ssh-ed25519 ${key.getPublicSSH().toString('base64')}`;
}

/** The public half of a private key in OpenSSH format, as one line. */
export function publicKeyLine(privateKey: Buffer): string {
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error) throw new Error('the host key cannot be read');
  return `${key.type} ${key.getPublicSSH().toString('base64')}`;
}

function parse(text: string): ParsedKey | null {
  // ssh2 returns an Error for most bad texts and throws for some.
  try {
    const key = ssh2.utils.parseKey(text);
    return key instanceof Error ? null : key;
  } catch {
    return null;
  }
}

/**
 * True when the client offers the enrolled key and, once it signs, the signature is right. The first, unsigned offer is
 * only a question whether the key would do (RFC 4252 §7).
 */
export function provesKey(context: PublicKeyAuthContext, enrolled: string): boolean {
  const key = parse(enrolled);
  if (!key || context.key.algo !== 'ssh-ed25519') return false;
  const expected = key.getPublicSSH();
  const offered = context.key.data;
  if (offered.length !== expected.length || !timingSafeEqual(offered, expected)) return false;
  if (!context.signature) return true;
  return context.blob !== undefined && key.verify(context.blob, context.signature, context.hashAlgo) === true;
}
