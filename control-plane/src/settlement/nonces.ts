/** Nonce accounts of the fee payer's, made where they are missing. */
import { nonceAccountTransaction, signedBy } from './chain/build.js';
import { nonceAccounts } from './chain-transactions.js';
import type { World } from './world.js';

const nonceBytes = 80n;
const feeLamports = 5_000n;

/** What is in the way of it; empty: all are there, or on their way. */
export async function makeNonceAccounts(world: World): Promise<string[]> {
  const accounts = await nonceAccounts(world);
  const inForce = await world.chain.nonces(accounts);
  const missing = accounts.map((account, number) => ({ account, number })).filter(({ number }) => !inForce[number]);
  if (missing.length === 0) return [];
  const rentLamports = await world.chain.rentLamports(nonceBytes);
  const need = (rentLamports + feeLamports) * BigInt(missing.length);
  const [payer] = await world.chain.accounts([world.feePayer]);
  if ((payer?.lamports ?? 0n) < need) {
    return [
      `the fee payer ${world.feePayer} has ${payer?.lamports ?? 0n} lamports and needs ${need} for its nonce accounts: send SOL to it`,
    ];
  }
  const blockhash = await world.chain.latestBlockhash();
  for (const { account, number } of missing) {
    const transaction = nonceAccountTransaction(world.feePayer, { account, number, rentLamports }, blockhash);
    await world.chain.send((await signedBy(world.signer, ['fee-payer'], transaction)).bytes);
  }
  return [];
}
