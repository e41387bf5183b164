import { describe, expect, test } from '@jest/globals';
import { base58, deriveKey, publicBytes } from './ed25519-seed.js';
import { KeystoreFault, makeKeystore, openKeystore } from './settlement-keystore.js';

describe('keys out of a seed', () => {
  // SLIP-0010, "Test vector 1 for ed25519".
  const seed = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
  test.each([
    [[], 'a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed'],
    [[0], '8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c'],
    [[0, 1, 2], 'ae98736566d30ed0e9d2f4486a64bc95740d89c7db33f52121f8ea8f76ff0fc1'],
  ])('are those of SLIP-0010 at %j', (path, publicKey) => {
    expect(publicBytes(deriveKey(seed, path)).toString('hex')).toBe(publicKey);
  });

  test('base 58 keeps leading zeros', () => {
    expect(base58(new Uint8Array(32))).toBe('1'.repeat(32));
    expect(base58(Buffer.from('0000287fb4cd', 'hex'))).toBe('11233QC4');
  });
});

describe('a keystore', () => {
  const seed = Buffer.alloc(32, 7);
  const file = makeKeystore('correct horse', seed);

  test('opens with its passphrase and holds nothing of the seed in the clear', () => {
    expect(openKeystore(JSON.stringify(file), 'correct horse')).toEqual(seed);
    expect(JSON.stringify(file)).not.toContain(seed.toString('hex'));
  });

  test('does not open with another passphrase, nor with other addresses, nor in part', () => {
    expect(() => openKeystore(JSON.stringify(file), 'correct horsE')).toThrow(KeystoreFault);
    expect(() => openKeystore(JSON.stringify({ ...file, treasury: file.feePayer }), 'correct horse')).toThrow(
      KeystoreFault,
    );
    expect(() => openKeystore(JSON.stringify(file).slice(0, -1), 'correct horse')).toThrow(KeystoreFault);
  });
});
