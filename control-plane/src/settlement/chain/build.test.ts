import { randomBytes } from 'node:crypto';
import { base58 } from '@iocloud/contracts/wire';
import { describe, expect, test } from '@jest/globals';
import { mostSweeps, mostTransfers } from '../../core/settlement/index.js';
import { type KeyId, seedSigner } from '../signer.js';
import { nonceAccountOf, signedBy, transfersTransaction } from './build.js';

const mostBytes = 1_232;
const signer = seedSigner(randomBytes(32));
const anyone = () => base58(randomBytes(32));
const mint = { mint: anyone(), decimals: 8 };
const price = { computeUnits: 400_000n, price: 123_456_789n };

async function sizeOf(transfers: { from: string; authority: string; to: string; amount: bigint }[], keys: KeyId[]) {
  const feePayer = await signer.address('fee-payer');
  const nonce = { account: await nonceAccountOf(feePayer, 0), nonce: anyone() };
  const transaction = await transfersTransaction(feePayer, nonce, mint, transfers, price);
  return (await signedBy(signer, ['fee-payer', ...keys], transaction)).bytes.length;
}

describe('a transaction', () => {
  test('holds as many pay-outs to new accounts as a batch has', async () => {
    const treasury = await signer.address('treasury');
    const transfers = Array.from({ length: mostTransfers }, () => ({ from: anyone(), to: anyone() })).map(one => ({
      ...one,
      from: mint.mint,
      authority: treasury,
      amount: 2n ** 63n,
    }));
    expect(await sizeOf(transfers, ['treasury'])).toBeLessThanOrEqual(mostBytes);
  });

  test('holds as many sweeps as a batch has', async () => {
    const numbers = Array.from({ length: mostSweeps }, (_, number) => number);
    const treasury = await signer.address('treasury');
    const transfers = await Promise.all(
      numbers.map(async number => ({
        ...{ from: anyone(), authority: await signer.address(`deposit/${number}`), to: treasury, amount: 2n ** 63n },
      })),
    );
    const keys = numbers.map(number => `deposit/${number}` as const);
    expect(await sizeOf(transfers, keys)).toBeLessThanOrEqual(mostBytes);
  });

  test('is not sent without all its signatures', async () => {
    const transfers = [{ from: anyone(), authority: await signer.address('treasury'), to: anyone(), amount: 1n }];
    await expect(sizeOf(transfers, [])).rejects.toThrow('lacks the signature');
  });
});
