/** SSH keys as text and as pairs. */
import { createHash } from 'node:crypto';
import ssh2, { type ParsedKey } from 'ssh2';

/** Private key as OpenSSH text, public key as one OpenSSH line without a line end. */
export interface SshKeyPair {
  private: string;
  public: string;
}

/**
 * Makes an ed25519 key pair.
 *
 * ssh2 drops the zero bytes that a public key may begin with, which leaves a file that nobody can read: one key in 256.
 * Such a pair is thrown away and another one made.
 */
export function newSshKeyPair(comment = ''): SshKeyPair {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) {
      return { private: pair.private, public: pair.public.trim() };
    }
  }
}

/** Null for what is no single key in OpenSSH format. */
export function parseSshKey(text: string | Buffer): ParsedKey | null {
  // ssh2 returns an Error for most bad texts and throws for some.
  try {
    const key = ssh2.utils.parseKey(text);
    return key instanceof Error || Array.isArray(key) ? null : key;
  } catch {
    return null;
  }
}

/** `<type> <base64>`: the same for every text of the same key. */
export const keyLine = (key: ParsedKey): string => `${key.type} ${key.getPublicSSH().toString('base64')}`;

/** Of a public key as one OpenSSH line: `SHA256:<base64 without padding>`, as `ssh-keygen -l` shows it. */
export function fingerprintOf(publicKeyLine: string): string {
  const blob = Buffer.from(publicKeyLine.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
