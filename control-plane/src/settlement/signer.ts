/** Who signs. Shaped as a key management service is: keys have names, and only bytes go in and signatures come out. */
import { readFile } from 'node:fs/promises';
import {
  base58,
  KeystoreFault,
  openKeystore,
  publicBytes,
  type SettlementKeyId,
  settlementKey,
  signEd25519,
} from '@iocloud/contracts/wire';
import { ConfigError } from '../platform/index.js';

export type KeyId = SettlementKeyId;

export interface Signer {
  /** Public key of 32 bytes in base 58. */
  address(key: KeyId): Promise<string>;
  /** Ed25519, 64 bytes. */
  sign(key: KeyId, bytes: Uint8Array): Promise<Uint8Array>;
}

export const seedSigner = (seed: Uint8Array): Signer => ({
  address: async key => base58(publicBytes(settlementKey(seed, key))),
  sign: async (key, bytes) => new Uint8Array(signEd25519(settlementKey(seed, key), bytes)),
});

/** Throws ConfigError in one line without a secret. */
export async function keystoreSigner(keystore: string, passphraseFile: string): Promise<Signer> {
  const text = await readSetting('IOCLOUD_SETTLEMENT_KEYSTORE', keystore);
  const passphrase = (await readSetting('IOCLOUD_SETTLEMENT_PASSPHRASE_FILE', passphraseFile)).replace(/\r?\n$/, '');
  try {
    return seedSigner(openKeystore(text, passphrase));
  } catch (error) {
    if (!(error instanceof KeystoreFault)) throw error;
    throw new ConfigError(`IOCLOUD_SETTLEMENT_KEYSTORE: ${keystore} does not open: ${error.message}`, { cause: error });
  }
}

const readSetting = (key: string, file: string) =>
  readFile(file, 'utf8').catch(error => {
    throw new ConfigError(`${key}: ${file} cannot be read: ${error.code ?? error} (docs/settlement.md)`, {
      cause: error,
    });
  });
