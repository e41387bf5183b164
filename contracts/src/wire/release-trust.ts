/** Whose word on releases counts: the pinned key, and whichever key it has passed its office on to. */
import { type KeyRotation, keyRotationNamespace, releaseNamespace } from '../agent-releases.js';
import { ed25519Line, verifySsh } from './ssh-signature.js';

/** The key that counts now. A rotation that the key before it has not signed changes nothing. */
export function currentKey(pinned: string, rotations: readonly KeyRotation[]): string {
  let key = pinned;
  for (const { publicKey, signature } of rotations) {
    const next = ed25519Line(publicKey);
    if (next && verifySsh(signature, key, keyRotationNamespace, publicKey)) key = next;
  }
  return key;
}

export const isSignedRelease = (manifest: string, signature: string, key: string): boolean =>
  verifySsh(signature, key, releaseNamespace, manifest);
