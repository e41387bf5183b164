/** Keys of WireGuard: x25519, made here; the private one is a file of mode 0600 and goes nowhere else. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';

export interface MeshKeys {
  /** Base64. */
  privateKey: string;
  publicKey: string;
}

/** DER of a PKCS#8 x25519 key before its 32 bytes (RFC 8410). */
const privateHead = Buffer.from('302e020100300506032b656e04220420', 'hex');
const publicHeadBytes = 12;

export function publicKeyOf(privateKey: string): string {
  const der = Buffer.concat([privateHead, Buffer.from(privateKey, 'base64')]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return key.export({ format: 'der', type: 'spki' }).subarray(publicHeadBytes).toString('base64');
}

export function newPrivateKey(): string {
  const { privateKey } = generateKeyPairSync('x25519');
  return privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(privateHead.length).toString('base64');
}

/** The key in this file; made where there is none. */
export async function keysIn(file: string): Promise<MeshKeys> {
  const made = newPrivateKey();
  const privateKey = await writeFile(file, made, { mode: 0o600, flag: 'wx' }).then(
    () => made,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      return readFile(file, 'utf8');
    },
  );
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}
