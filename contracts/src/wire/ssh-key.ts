/** Key pairs for the SSH connection between agent and control plane. */
import { createHash } from 'node:crypto';
import ssh2 from 'ssh2';

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

/** Of a public key as one OpenSSH line: `SHA256:<base64 without padding>`, as `ssh-keygen -l` shows it. */
export function fingerprintOf(publicKeyLine: string): string {
  const blob = Buffer.from(publicKeyLine.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
