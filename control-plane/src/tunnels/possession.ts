/**
 * Proof that somebody holds an SSH key: its signature of a text, as `ssh-keygen -Y sign` makes it, with the private key's
 * file or by an ssh-agent (PROTOCOL.sshsig of OpenSSH). Pure.
 */
import { createPublicKey, verify } from 'node:crypto';
import { parseSshKey, readSshSignature, sshFields, sshSigned } from '@iocloud/contracts/wire';
import { Failure } from '../platform/index.js';

/** A signature for another purpose (git, a file) is none for ours. */
export const proofNamespace = 'iocloud' as const;

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
  const parts = readSshSignature(armoured);
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
    const signed = sshSigned(parts, message);
    const { hash, curveBytes } = algorithm;
    if (curveBytes === undefined) return verify(hash, signed, createPublicKey(key.getPublicPEM()), parts.signature);
    const numbers = ecdsaNumbers(parts.signature, curveBytes);
    const publicKey = { key: createPublicKey(key.getPublicPEM()), dsaEncoding: 'ieee-p1363' as const };
    return numbers !== null && verify(hash, signed, publicKey, numbers);
  };
  return isOf(text) || isOf(`${text}\n`) ? null : 'proof.signature: it is not one of this challenge by this key';
}

/** The two numbers of an ECDSA signature (RFC 5656 §3.1.2) side by side, as IEEE P1363 has them. */
function ecdsaNumbers(signature: Buffer, size: number): Buffer | null {
  const numbers = sshFields(signature);
  if (numbers?.length !== 2) return null;
  const padded = numbers.map(number => {
    const bytes = number.subarray(number.findIndex(byte => byte !== 0));
    return bytes.length > size ? null : Buffer.concat([Buffer.alloc(size - bytes.length), bytes]);
  });
  return padded.includes(null) ? null : Buffer.concat(padded as Buffer[]);
}
