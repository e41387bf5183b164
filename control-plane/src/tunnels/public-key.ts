/** Renters' public keys: what is accepted, how one is named, and the proof that somebody holds the private half. Pure. */
import { createHash, createPublicKey, timingSafeEqual } from 'node:crypto';
import ssh2, { type ParsedKey, type PublicKeyAuthContext } from 'ssh2';
import { Failure } from '../platform/index.js';

const accepted = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'ssh-rsa'];
const leastRsaBits = 2048;
const expectation =
  'publicKey: expected one line of OpenSSH format, as in ~/.ssh/id_ed25519.pub, with an ed25519, ECDSA or RSA key';

export interface PublicKey {
  type: string;
  /** `<type> <base64>`: the same for every text of the same key. */
  line: string;
  /** `SHA256:<base64 without padding>`, as ssh-keygen -l shows it. */
  fingerprint: string;
  comment: string;
}

/** Throws Failure 'bad-request' with what is wrong, and what to do. */
export function readPublicKey(text: string): PublicKey {
  const line = text.trim();
  if (/PRIVATE KEY/.test(line)) {
    throw new Failure('bad-request', 'publicKey: this is a private key, which must stay with you: send the .pub file');
  }
  if (line.includes('\n')) throw new Failure('bad-request', `${expectation}; this has several lines`);
  const [named = '', , ...comment] = line.split(/\s+/);
  if (named.startsWith('sk-')) {
    throw new Failure('bad-request', `publicKey: keys of hardware tokens (${named}) are not supported; use ed25519`);
  }
  const key = parse(line);
  if (!key || key.isPrivateKey() || !accepted.includes(key.type)) {
    throw new Failure('bad-request', named === 'ssh-dss' ? `${expectation}, and no DSA key` : expectation);
  }
  const bits = key.type === 'ssh-rsa' ? rsaBits(key) : null;
  if (bits !== null && bits < leastRsaBits) {
    throw new Failure('bad-request', `publicKey: an RSA key must have ${leastRsaBits} bits or more, this has ${bits}`);
  }
  const blob = key.getPublicSSH();
  return {
    type: key.type,
    line: `${key.type} ${blob.toString('base64')}`,
    fingerprint: fingerprintOf(blob),
    comment: comment.join(' '),
  };
}

function parse(line: string): ParsedKey | null {
  // ssh2 returns an Error for most bad texts and throws for some.
  try {
    const key = ssh2.utils.parseKey(line);
    return key instanceof Error || Array.isArray(key) ? null : key;
  } catch {
    return null;
  }
}

const rsaBits = (key: ParsedKey): number =>
  createPublicKey(key.getPublicPEM()).asymmetricKeyDetails?.modulusLength ?? 0;

/** Of a key as it goes over the wire. */
export const fingerprintOf = (blob: Buffer): string =>
  `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;

/** The line under which an offered key would be on record. */
export const lineOfOffer = (context: PublicKeyAuthContext): string =>
  `${context.key.algo} ${context.key.data.toString('base64')}`;

/**
 * True when the client offers this key and, once it signs, the signature is right. The first, unsigned offer is only a
 * question whether the key would do (RFC 4252 §7). RSA with SHA-1 is no proof any more.
 */
export function provesPublicKey(context: PublicKeyAuthContext, line: string): boolean {
  const key = parse(line);
  if (!key || context.key.algo !== key.type) return false;
  const expected = key.getPublicSSH();
  const offered = context.key.data;
  if (offered.length !== expected.length || !timingSafeEqual(offered, expected)) return false;
  if (key.type === 'ssh-rsa' && context.hashAlgo === undefined) return false;
  if (!context.signature) return true;
  return context.blob !== undefined && key.verify(context.blob, context.signature, context.hashAlgo) === true;
}
