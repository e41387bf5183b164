/**
 * Detached signatures of files in OpenSSH's own format (PROTOCOL.sshsig): what `ssh-keygen -Y sign -f KEY -n NAMESPACE FILE`
 * writes, and `ssh-keygen -Y verify` or `-Y check-novalidate` checks. ed25519 keys alone.
 */
import { createHash } from 'node:crypto';
import type { ParsedKey } from 'ssh2';
import { keyLine, parseSshKey } from './ssh-key.js';

const magic = Buffer.from('SSHSIG');
const version = 1;
const keyType = 'ssh-ed25519';
const hashes = ['sha512', 'sha256'] as const;
const none = Buffer.alloc(0);
const begin = '-----BEGIN SSH SIGNATURE-----';
const end = '-----END SSH SIGNATURE-----';

/** A string of SSH's wire format: its length, then its bytes. */
function field(bytes: Buffer | string): Buffer {
  const content = Buffer.from(bytes as Buffer);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}

function keyOf(text: string | Buffer): ParsedKey | null {
  const key = parseSshKey(text);
  return key?.type === keyType ? key : null;
}

/** `ssh-ed25519 <base64>` without the comment, or null for what is no such public key. */
export function ed25519Line(text: string): string | null {
  const key = keyOf(text.trim());
  return key && !key.isPrivateKey() ? keyLine(key) : null;
}

/** What a signature is one of: never the message itself. */
export const sshSigned = (
  { namespace, reserved, hash }: Pick<SshSignature, 'namespace' | 'reserved' | 'hash'>,
  message: string | Buffer,
): Buffer =>
  Buffer.concat([magic, ...[namespace, reserved, hash, createHash(hash).update(message).digest()].map(field)]);

/** `privateKey`: in OpenSSH format, without a pass phrase. Throws where it is no such key, without its text. */
export function signSsh(privateKey: string | Buffer, namespace: string, message: string | Buffer): string {
  const key = keyOf(privateKey);
  if (!key?.isPrivateKey()) throw new Error('no private ed25519 key in OpenSSH format without a pass phrase');
  const raw: Buffer | Error = key.sign(sshSigned({ namespace, reserved: none, hash: 'sha512' }, message));
  if (raw instanceof Error) throw raw;
  const number = Buffer.alloc(4);
  number.writeUInt32BE(version);
  const signature = Buffer.concat([field(keyType), field(raw)]);
  const blob = [
    magic,
    number,
    field(key.getPublicSSH()),
    field(namespace),
    field(''),
    field('sha512'),
    field(signature),
  ];
  const lines =
    Buffer.concat(blob)
      .toString('base64')
      .match(/.{1,70}/g) ?? [];
  return `${[begin, ...lines, end].join('\n')}\n`;
}

/** True where the owner of `publicKey` has signed exactly this message for this purpose. Never throws. */
export function verifySsh(signature: string, publicKey: string, namespace: string, message: string | Buffer): boolean {
  const key = keyOf(publicKey);
  const parts = readSshSignature(signature);
  if (!key || !parts?.publicKey.equals(key.getPublicSSH()) || parts.namespace !== namespace) return false;
  return parts.algorithm === keyType && key.verify(sshSigned(parts, message), parts.signature) === true;
}

/** Of keys of any type. */
export interface SshSignature {
  publicKey: Buffer;
  namespace: string;
  reserved: Buffer;
  hash: (typeof hashes)[number];
  algorithm: string;
  signature: Buffer;
}

/** Null for what is no signature in this format. Whether it is right is not looked at. */
export function readSshSignature(armoured: string): SshSignature | null {
  const text = armoured.trim();
  if (!text.startsWith(begin) || !text.endsWith(end)) return null;
  const base64 = text.slice(begin.length, -end.length);
  if (!/^\s[A-Za-z0-9+/=\s]*$/.test(base64)) return null;
  const blob = Buffer.from(base64, 'base64');
  const head = magic.length + 4;
  if (blob.length < head || !blob.subarray(0, magic.length).equals(magic)) return null;
  if (blob.readUInt32BE(magic.length) !== version) return null;
  const fields = sshFields(blob.subarray(head));
  if (fields?.length !== 5) return null;
  const [publicKey, namespace, reserved, hash, signed] = fields as [Buffer, Buffer, Buffer, Buffer, Buffer];
  const [algorithm, signature, ...rest] = sshFields(signed) ?? [];
  const name = hashes.find(one => one === hash.toString('latin1'));
  if (!algorithm || !signature || rest.length > 0 || !name) return null;
  return {
    publicKey,
    namespace: namespace.toString(),
    reserved,
    hash: name,
    algorithm: algorithm.toString('latin1'),
    signature,
  };
}

/** All strings of the SSH protocol (RFC 4251 §5) that the bytes are made of; null where something is left over or cut off. */
export function sshFields(bytes: Buffer): Buffer[] | null {
  const fields: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length) return null;
    const stop = at + 4 + bytes.readUInt32BE(at);
    if (stop > bytes.length) return null;
    fields.push(bytes.subarray(at + 4, stop));
    at = stop;
  }
  return fields;
}

/** The public half of a private ed25519 key, as one OpenSSH line. Throws where it is no such key, without its text. */
export function publicLineOf(privateKey: string | Buffer): string {
  const key = keyOf(privateKey);
  if (!key?.isPrivateKey()) throw new Error('no private ed25519 key in OpenSSH format without a pass phrase');
  return keyLine(key);
}
