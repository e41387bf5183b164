/**
 * Detached signatures of files in OpenSSH's own format (PROTOCOL.sshsig): what `ssh-keygen -Y sign -f KEY -n NAMESPACE FILE`
 * writes, and `ssh-keygen -Y verify` or `-Y check-novalidate` checks. ed25519 keys alone.
 */
import { createHash } from 'node:crypto';
import ssh2, { type ParsedKey } from 'ssh2';

const magic = Buffer.from('SSHSIG');
const version = 1;
const keyType = 'ssh-ed25519';
const hashes = ['sha512', 'sha256'] as const;
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
  // ssh2 returns an Error for most bad texts and throws for some.
  try {
    const key = ssh2.utils.parseKey(text);
    return key instanceof Error || Array.isArray(key) || key.type !== keyType ? null : key;
  } catch {
    return null;
  }
}

/** `ssh-ed25519 <base64>` without the comment, or null for what is no such public key. */
export function ed25519Line(text: string): string | null {
  const key = keyOf(text.trim());
  return key && !key.isPrivateKey() ? `${keyType} ${key.getPublicSSH().toString('base64')}` : null;
}

const signed = (namespace: string, hash: string, message: string | Buffer) =>
  Buffer.concat([magic, field(namespace), field(''), field(hash), field(createHash(hash).update(message).digest())]);

/** `privateKey`: in OpenSSH format, without a pass phrase. Throws where it is no such key, without its text. */
export function signSsh(privateKey: string | Buffer, namespace: string, message: string | Buffer): string {
  const key = keyOf(privateKey);
  if (!key?.isPrivateKey()) throw new Error('no private ed25519 key in OpenSSH format without a pass phrase');
  const raw: Buffer | Error = key.sign(signed(namespace, 'sha512', message));
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
  const parts = partsOf(signature);
  if (!key || !parts?.key.equals(key.getPublicSSH()) || parts.namespace !== namespace) return false;
  return key.verify(signed(namespace, parts.hash, message), parts.raw) === true;
}

/** Null for what is no signature of this kind. */
function partsOf(armoured: string): { key: Buffer; namespace: string; hash: string; raw: Buffer } | null {
  const text = armoured.trim();
  if (!text.startsWith(begin) || !text.endsWith(end)) return null;
  const blob = Buffer.from(text.slice(begin.length, -end.length), 'base64');
  if (!blob.subarray(0, magic.length).equals(magic) || blob.length < magic.length + 4) return null;
  if (blob.readUInt32BE(magic.length) !== version) return null;
  const fields = fieldsOf(blob.subarray(magic.length + 4));
  const [key, namespace, , hash, signature] = fields ?? [];
  if (!key || !namespace || !signature || fields?.length !== 5) return null;
  const [type, raw, ...rest] = fieldsOf(signature) ?? [];
  if (type?.toString() !== keyType || !raw || rest.length > 0) return null;
  const name = hashes.find(one => one === hash?.toString());
  return name ? { key, namespace: namespace.toString(), hash: name, raw } : null;
}

function fieldsOf(bytes: Buffer): Buffer[] | null {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length) return null;
    const length = bytes.readUInt32BE(at);
    if (at + 4 + length > bytes.length) return null;
    found.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return found;
}

/** The public half of a private ed25519 key, as one OpenSSH line. Throws where it is no such key, without its text. */
export function publicLineOf(privateKey: string | Buffer): string {
  const key = keyOf(privateKey);
  if (!key?.isPrivateKey()) throw new Error('no private ed25519 key in OpenSSH format without a pass phrase');
  return `${keyType} ${key.getPublicSSH().toString('base64')}`;
}
