/**
 * Proof that somebody holds an SSH key: its signature of a text, as `ssh-keygen -Y sign` makes it, with the private key's
 * file or by an ssh-agent (PROTOCOL.sshsig of OpenSSH). Pure.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { Failure, parseSshKey } from '../platform/index.js';

/** A signature for another purpose (git, a file) is none for ours. */
export const proofNamespace = 'iocloud' as const;

const armour = /^-----BEGIN SSH SIGNATURE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END SSH SIGNATURE-----\s*$/;
const magic = 'SSHSIG';
/** Signature algorithm → hash of the signature, and for ECDSA the bytes of each of its two numbers. SHA-1 is no proof. */
const algorithms: Record<string, { hash: string | null; curveBytes?: number; keyType: string }> = {
  'ssh-ed25519': { hash: null, keyType: 'ssh-ed25519' },
  'ecdsa-sha2-nistp256': { hash: 'sha256', curveBytes: 32, keyType: 'ecdsa-sha2-nistp256' },
  'ecdsa-sha2-nistp384': { hash: 'sha384', curveBytes: 48, keyType: 'ecdsa-sha2-nistp384' },
  'ecdsa-sha2-nistp521': { hash: 'sha512', curveBytes: 66, keyType: 'ecdsa-sha2-nistp521' },
  'rsa-sha2-256': { hash: 'sha256', keyType: 'ssh-rsa' },
  'rsa-sha2-512': { hash: 'sha512', keyType: 'ssh-rsa' },
};

const noSignature =
  'proof.signature: expected what `ssh-keygen -Y sign -n iocloud` prints: -----BEGIN SSH SIGNATURE-----…';

/** Throws Failure 'bad-request' unless the signature is one of this text by this key. */
export function demandProof(keyLine: string, text: string, signature: string): void {
  const fault = faultOf(keyLine, text, signature);
  if (fault !== null) throw new Failure('bad-request', fault);
}

function faultOf(keyLine: string, text: string, armoured: string): string | null {
  const [, base64] = armour.exec(armoured.trim()) ?? [];
  const parts = base64 === undefined ? null : partsOf(Buffer.from(base64, 'base64'));
  if (!parts) return noSignature;
  if (parts.namespace !== proofNamespace) {
    return `proof.signature: it is for the namespace "${parts.namespace.slice(0, 32)}": sign with -n ${proofNamespace}`;
  }
  const key = parseSshKey(keyLine);
  if (!key?.getPublicSSH().equals(parts.publicKey)) {
    return 'proof.signature: another key has signed than the one that shall be registered';
  }
  const algorithm = Object.hasOwn(algorithms, parts.algorithm) ? algorithms[parts.algorithm] : undefined;
  if (algorithm?.keyType !== key.type)
    return 'proof.signature: its algorithm is not one of this key, or is out of date';
  // A line end is what a shell adds.
  const isOf = (message: string) => {
    const hashed = createHash(parts.hash).update(message).digest();
    const signed = Buffer.concat([
      Buffer.from(magic),
      ...[Buffer.from(parts.namespace), parts.reserved, Buffer.from(parts.hash), hashed].map(field),
    ]);
    const { hash, curveBytes } = algorithm;
    if (curveBytes === undefined) return verify(hash, signed, createPublicKey(key.getPublicPEM()), parts.signature);
    const numbers = ecdsaNumbers(parts.signature, curveBytes);
    const publicKey = { key: createPublicKey(key.getPublicPEM()), dsaEncoding: 'ieee-p1363' as const };
    return numbers !== null && verify(hash, signed, publicKey, numbers);
  };
  return isOf(text) || isOf(`${text}\n`) ? null : 'proof.signature: it is not one of this challenge by this key';
}

interface Parts {
  publicKey: Buffer;
  namespace: string;
  reserved: Buffer;
  hash: 'sha256' | 'sha512';
  algorithm: string;
  signature: Buffer;
}

function partsOf(blob: Buffer): Parts | null {
  const head = magic.length + 4;
  if (blob.length < head || blob.toString('latin1', 0, magic.length) !== magic) return null;
  if (blob.readUInt32BE(magic.length) !== 1) return null;
  const fields = fieldsOf(blob.subarray(head));
  if (fields?.length !== 5) return null;
  const [publicKey, namespace, reserved, hash, signed] = fields as [Buffer, Buffer, Buffer, Buffer, Buffer];
  const [algorithm, signature, ...rest] = fieldsOf(signed) ?? [];
  const hashName = hash.toString('latin1');
  if (!algorithm || !signature || rest.length > 0 || (hashName !== 'sha256' && hashName !== 'sha512')) return null;
  return {
    publicKey,
    namespace: namespace.toString(),
    reserved,
    hash: hashName,
    algorithm: algorithm.toString('latin1'),
    signature,
  };
}

/** A string of the SSH protocol (RFC 4251 §5). */
function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** All strings that the bytes are made of; null where something is left over or cut off. */
function fieldsOf(bytes: Buffer): Buffer[] | null {
  const fields: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length) return null;
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) return null;
    fields.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return fields;
}

/** The two numbers of an ECDSA signature (RFC 5656 §3.1.2) side by side, as IEEE P1363 has them. */
function ecdsaNumbers(signature: Buffer, size: number): Buffer | null {
  const numbers = fieldsOf(signature);
  if (numbers?.length !== 2) return null;
  const padded = numbers.map(number => {
    const bytes = number.subarray(number.findIndex(byte => byte !== 0));
    return bytes.length > size ? null : Buffer.concat([Buffer.alloc(size - bytes.length), bytes]);
  });
  return padded.includes(null) ? null : Buffer.concat(padded as Buffer[]);
}
