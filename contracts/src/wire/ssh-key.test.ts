import { describe, expect, test } from '@jest/globals';
import ssh2 from 'ssh2';
import { newSshKeyPair } from './ssh-key.js';

describe('an SSH key pair', () => {
  // A generator that spoils one key in 256 passes this once in 120,000 runs.
  test('can be read back, whatever bytes its public key begins with', () => {
    for (let made = 0; made < 3000; made++) {
      const pair = newSshKeyPair('a comment');
      const key = ssh2.utils.parseKey(pair.private);
      if (key instanceof Error || Array.isArray(key)) throw new Error(`not readable: ${pair.public}`);
      expect(pair.public).toBe(`ssh-ed25519 ${key.getPublicSSH().toString('base64')} a comment`);
    }
  });
});
