/** The process's own secrets: files of mode 0600 in one directory, made at first start when absent. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newSshKeyPair } from '@iocloud/contracts/wire';

export interface Secrets {
  /** Signs sessions and links. */
  sessionSecret: Buffer;
  /** 32 bytes: seals clusters' tokens in the database. */
  sealKey: Buffer;
  /** The SSH server's ed25519 host key, as OpenSSH private key text. */
  sshHostKey: Buffer;
}

/** Throws when a file is there but cannot be read, or the directory cannot be written. */
export async function loadSecrets(directory: string): Promise<Secrets> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return {
    sessionSecret: await loadOrMake(join(directory, 'session-secret'), () => randomBytes(32)),
    sealKey: await loadOrMake(join(directory, 'seal-key'), () => randomBytes(32)),
    sshHostKey: await loadOrMake(join(directory, 'ssh_host_ed25519_key'), () => Buffer.from(newSshKeyPair().private)),
  };
}

/** The file is made whole or not at all: written under `wx`, a second replica that starts with us reads ours. */
async function loadOrMake(path: string, make: () => Buffer): Promise<Buffer> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      const secret = make();
      await file.writeFile(secret);
      await file.sync();
      return secret;
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const secret = await readFile(path);
  if (secret.length === 0)
    throw new Error(`${path} is empty: an earlier start was cut short; delete it and start again`);
  return secret;
}
