import { createHash } from 'node:crypto';

/** Of a public key as one OpenSSH line, as `ssh-keygen -l` shows it. */
export function fingerprintOf(publicKey: string): string {
  const key = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}
