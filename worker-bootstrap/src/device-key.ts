/** The machine's identity: one ed25519 key pair, of which the private half never leaves the machine. */
import { readFileSync, writeFileSync } from 'node:fs';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import ssh2 from 'ssh2';

/**
 * Makes the key in `file` (OpenSSH format, mode 0600) unless there is one, and returns the public key as one OpenSSH
 * line. Throws when the file exists and holds no private ed25519 key, or cannot be written.
 */
export function createDeviceKey(file: string): string {
  try {
    writeFileSync(file, newSshKeyPair().private, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return readDeviceKey(file).publicKeyLine;
}

/** Reads a device key. Throws an error that names the file and never its content. */
export function readDeviceKey(file: string): { privateKey: Buffer; publicKeyLine: string } {
  const privateKey = readFileSync(file);
  const parsed = ssh2.utils.parseKey(privateKey);
  if (parsed instanceof Error || Array.isArray(parsed) || !parsed.isPrivateKey() || parsed.type !== 'ssh-ed25519') {
    throw new Error(`${file} holds no private ed25519 key in OpenSSH format; move it away and make one anew`);
  }
  return { privateKey, publicKeyLine: `ssh-ed25519 ${parsed.getPublicSSH().toString('base64')}` };
}

/** The signature of the device key, base64 of the 64 bytes of ed25519 (RFC 8032). */
export function signWith(privateKey: Buffer, text: string): string {
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error || Array.isArray(key)) throw new Error('the device key cannot be read any more');
  const signature: Buffer | Error = key.sign(Buffer.from(text));
  if (signature instanceof Error) throw signature;
  return signature.toString('base64');
}
