import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { keysIn, publicKeyOf } from './keys.js';

test('the public key is the one that RFC 7748 (6.1) gives for its private key', () => {
  const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64');
  const alice = '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a';
  const hers = '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a';
  expect(publicKeyOf(base64(alice))).toBe(base64(hers));
});

test('a key is made once, for its owner alone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'iocloud-keys-'));
  try {
    const file = join(directory, 'key');
    const made = await keysIn(file);
    expect(await keysIn(file)).toEqual(made);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(made.privateKey).toMatch(/^[A-Za-z0-9+/]{43}=$/);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
