/** Signatures of a device key: ed25519 over the text, 64 bytes as base64. */
import ssh2 from 'ssh2';

/** `publicKey`: one OpenSSH line, as enrolled. Throws where it is none. */
export function signatureCheck(publicKey: string): (text: string, signature: string) => boolean {
  const key = ssh2.utils.parseKey(publicKey);
  if (key instanceof Error || Array.isArray(key)) throw new Error('the enrolled device key cannot be read');
  return (text, signature) => key.verify(Buffer.from(text), Buffer.from(signature, 'base64')) === true;
}
