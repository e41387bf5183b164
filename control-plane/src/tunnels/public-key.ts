/** Renters' public keys: what is accepted, and how one is named. Pure. */
import { createPublicKey } from 'node:crypto';
import { fingerprintOf, keyLine, parseSshKey } from '@iocloud/contracts/wire';
import type { ParsedKey, PublicKeyAuthContext } from 'ssh2';
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
  const key = parseSshKey(line);
  if (!key || key.isPrivateKey() || !accepted.includes(key.type)) {
    throw new Failure('bad-request', named === 'ssh-dss' ? `${expectation}, and no DSA key` : expectation);
  }
  const bits = key.type === 'ssh-rsa' ? rsaBits(key) : null;
  if (bits !== null && bits < leastRsaBits) {
    throw new Failure('bad-request', `publicKey: an RSA key must have ${leastRsaBits} bits or more, this has ${bits}`);
  }
  const normal = keyLine(key);
  return {
    type: key.type,
    line: normal,
    fingerprint: fingerprintOf(normal),
    comment: comment.join(' '),
  };
}

const rsaBits = (key: ParsedKey): number =>
  createPublicKey(key.getPublicPEM()).asymmetricKeyDetails?.modulusLength ?? 0;

/** The line under which an offered key would be on record. */
export const lineOfOffer = (context: PublicKeyAuthContext): string =>
  `${context.key.algo} ${context.key.data.toString('base64')}`;
