/**
 * Ed25519 keys out of one seed, as SLIP-0010 derives them: every step is hardened, and any Solana wallet that takes a seed
 * and a path comes to the same keys. Addresses are the public keys in base 58.
 */
import { createHmac, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';

/** PKCS #8 around a bare Ed25519 key (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const hardened = 0x8000_0000;

/** `path`: the indices after `m`, each of them hardened. */
export function deriveKey(seed: Uint8Array, path: readonly number[]): KeyObject {
  let node = createHmac('sha512', 'ed25519 seed').update(seed).digest();
  for (const index of path) {
    const step = Buffer.alloc(37);
    node.copy(step, 1, 0, 32);
    step.writeUInt32BE(hardened + index, 33);
    node = createHmac('sha512', node.subarray(32)).update(step).digest();
  }
  const der = Buffer.concat([pkcs8Prefix, node.subarray(0, 32)]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

export const publicBytes = (key: KeyObject): Buffer =>
  Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url');

export const signEd25519 = (key: KeyObject, bytes: Uint8Array): Buffer => sign(null, bytes, key);

const base58Digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

export function base58(bytes: Uint8Array): string {
  let value = BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`);
  let text = '';
  for (; value > 0n; value /= 58n) text = `${base58Digits[Number(value % 58n)]}${text}`;
  const zeros = bytes.findIndex(byte => byte !== 0);
  return '1'.repeat(zeros < 0 ? bytes.length : zeros) + text;
}
