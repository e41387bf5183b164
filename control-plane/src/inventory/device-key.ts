/** Device keys: the public half as enrolled. */
import { keyLine, parseSshKey } from '@iocloud/contracts/wire';
import { Failure } from '../platform/index.js';

/** Normalises one line of OpenSSH text to `ssh-ed25519 <base64>`. Throws Failure 'bad-request'. */
export function normalisePublicKey(text: string): string {
  const key = parseSshKey(text);
  if (!key || key.isPrivateKey() || key.type !== 'ssh-ed25519') {
    throw new Failure('bad-request', 'publicKey: expected one line in OpenSSH format that starts with ssh-ed25519');
  }
  return keyLine(key);
}
