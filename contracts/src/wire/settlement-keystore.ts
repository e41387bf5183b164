/**
 * The file that settlement's keys are in: one seed of 32 bytes under a passphrase (scrypt, AES-256-GCM). All keys come from
 * it by SLIP-0010: m/44'/501'/0'/0' pays fees, m/44'/501'/0'/1' holds the treasury, m/44'/501'/1'/n' is the deposit
 * address of number n.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes, scryptSync } from 'node:crypto';
import { z } from 'zod';
import { base58, deriveKey, publicBytes } from './ed25519-seed.js';

export type SettlementKeyId = 'fee-payer' | 'treasury' | `deposit/${number}`;

/** 64 MiB for a try at the passphrase. */
const scryptCost = { N: 65_536, r: 8, p: 1 };
const mostScryptBytes = 2 ** 28;
const hex = z.string().regex(/^([0-9a-f]{2})+$/);
const keystoreFile = z.strictObject({
  version: z.literal(1),
  kdf: z.strictObject({
    name: z.literal('scrypt'),
    N: z
      .int()
      .min(2)
      .max(2 ** 20),
    r: z.int().min(1).max(16),
    p: z.int().min(1).max(4),
    salt: hex,
  }),
  cipher: z.strictObject({ name: z.literal('aes-256-gcm'), nonce: hex, tag: hex, sealed: hex }),
  /** In the clear, so that what is to be funded is seen without the passphrase. */
  feePayer: z.string(),
  treasury: z.string(),
});
type KeystoreFile = z.infer<typeof keystoreFile>;

export function settlementPath(id: SettlementKeyId): number[] {
  if (id === 'fee-payer') return [44, 501, 0, 0];
  if (id === 'treasury') return [44, 501, 0, 1];
  return [44, 501, 1, Number(id.slice('deposit/'.length))];
}

export const settlementKey = (seed: Uint8Array, id: SettlementKeyId): KeyObject => deriveKey(seed, settlementPath(id));

const addressOf = (seed: Uint8Array, id: SettlementKeyId) => base58(publicBytes(settlementKey(seed, id)));

/** The addresses are bound to what is sealed: a file whose addresses were changed does not open. */
const boundTo = ({ feePayer, treasury }: Pick<KeystoreFile, 'feePayer' | 'treasury'>) =>
  Buffer.from(`iocloud settlement ${feePayer} ${treasury}`);

const stretch = (passphrase: string, { N, r, p, salt }: KeystoreFile['kdf']) =>
  scryptSync(passphrase.normalize('NFKC'), Buffer.from(salt, 'hex'), 32, { N, r, p, maxmem: mostScryptBytes });

export function makeKeystore(passphrase: string, seed: Uint8Array = randomBytes(32)): KeystoreFile {
  const kdf = { name: 'scrypt' as const, ...scryptCost, salt: randomBytes(16).toString('hex') };
  const addresses = { feePayer: addressOf(seed, 'fee-payer'), treasury: addressOf(seed, 'treasury') };
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', stretch(passphrase, kdf), nonce).setAAD(boundTo(addresses));
  const sealed = Buffer.concat([cipher.update(seed), cipher.final()]).toString('hex');
  const tag = cipher.getAuthTag().toString('hex');
  return { version: 1, kdf, cipher: { name: 'aes-256-gcm', nonce: nonce.toString('hex'), tag, sealed }, ...addresses };
}

export class KeystoreFault extends Error {}

/** The seed. Throws KeystoreFault in words that hold no secret. */
export function openKeystore(text: string, passphrase: string): Buffer {
  const parsed = keystoreFile.safeParse(parseJson(text));
  if (!parsed.success) throw new KeystoreFault('it is no keystore of settlement, or a part of one');
  const { kdf, cipher } = parsed.data;
  try {
    const decipher = createDecipheriv('aes-256-gcm', stretch(passphrase, kdf), Buffer.from(cipher.nonce, 'hex'));
    decipher.setAAD(boundTo(parsed.data)).setAuthTag(Buffer.from(cipher.tag, 'hex'));
    return Buffer.concat([decipher.update(Buffer.from(cipher.sealed, 'hex')), decipher.final()]);
  } catch (error) {
    throw new KeystoreFault('the passphrase is another one, or the file was changed', { cause: error });
  }
}

/** Undefined, which no schema takes, where it is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
