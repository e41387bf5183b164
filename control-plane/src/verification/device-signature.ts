/** Signatures of a device key: ed25519 over the text, 64 bytes as base64. */
import { parseSshKey } from '@iocloud/contracts/wire';

/** `publicKey`: one OpenSSH line, as enrolled. Throws where it is none. */
export function signatureCheck(publicKey: string): (text: string, signature: string) => boolean {
  const key = parseSshKey(publicKey);
  if (!key) throw new Error('the enrolled device key cannot be read');
  return (text, signature) => key.verify(Buffer.from(text), Buffer.from(signature, 'base64')) === true;
}
