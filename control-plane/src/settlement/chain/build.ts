/** Transactions: what they say, and their bytes once signed. */

import {
  type Address,
  address,
  appendTransactionMessageInstructions,
  compileTransaction,
  createAddressWithSeed,
  createNoopSigner,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  type Instruction,
  type Nonce,
  pipe,
  type SignatureBytes,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  setTransactionMessageLifetimeUsingDurableNonce,
  type Transaction,
} from '@solana/kit';
import { getSetComputeUnitLimitInstruction, getSetComputeUnitPriceInstruction } from '@solana-program/compute-budget';
import {
  getCreateAccountWithSeedInstruction,
  getInitializeNonceAccountInstruction,
  SYSTEM_PROGRAM_ADDRESS,
} from '@solana-program/system';
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstruction,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import type { KeyId, Signer } from '../signer.js';

export interface Price {
  computeUnits: bigint;
  /** In millionths of a lamport for a unit. */
  price: bigint;
}
export interface NonceInForce {
  account: string;
  nonce: string;
}
export interface Mint {
  mint: string;
  decimals: number;
}

export async function tokenAccountOf(owner: string, mint: string): Promise<string> {
  const seeds = { owner: address(owner), mint: address(mint), tokenProgram: TOKEN_PROGRAM_ADDRESS };
  return (await findAssociatedTokenPda(seeds))[0];
}

/** The nonce and the two of the price come before the transfers: what fails there is no transfer's fault. */
export const firstTransferInstruction = 3;

/** Nonce accounts have no keys: their addresses follow from the fee payer's. */
export const nonceSeed = (number: number): string => `iocloud-nonce-${number}`;
export const nonceAccountOf = (feePayer: string, number: number): Promise<string> =>
  createAddressWithSeed({
    baseAddress: address(feePayer),
    programAddress: SYSTEM_PROGRAM_ADDRESS,
    seed: nonceSeed(number),
  });

const begun = (feePayer: string) =>
  setTransactionMessageFeePayer(address(feePayer), createTransactionMessage({ version: 0 }));

const priced = ({ computeUnits, price }: Price): Instruction[] => [
  getSetComputeUnitLimitInstruction({ units: Number(computeUnits) }),
  getSetComputeUnitPriceInstruction({ microLamports: price }),
];

const withNonce = (
  feePayer: string,
  { account, nonce }: NonceInForce,
  instructions: readonly Instruction[],
): Transaction =>
  compileTransaction(
    pipe(
      begun(feePayer),
      // First of all, the nonce moves on: also where the rest fails.
      message =>
        setTransactionMessageLifetimeUsingDurableNonce(
          {
            nonce: nonce as Nonce,
            nonceAccountAddress: address(account),
            nonceAuthorityAddress: address(feePayer),
          },
          message,
        ),
      message => appendTransactionMessageInstructions(instructions, message),
    ),
  );

export interface Transfer {
  /** Token account of ours, and who may take from it. */
  from: string;
  authority: string;
  /** Whose token account it goes to; made where it is missing. */
  to: string;
  amount: bigint;
}

export async function transfersTransaction(
  feePayer: string,
  nonce: NonceInForce,
  { mint, decimals }: Mint,
  transfers: readonly Transfer[],
  price: Price,
): Promise<Transaction> {
  const payer = createNoopSigner(address(feePayer));
  const instructions = await Promise.all(
    transfers.map(async ({ from, authority, to, amount }, index) => {
      const destination = address(await tokenAccountOf(to, mint));
      const isMade = transfers.findIndex(other => other.to === to) < index;
      const make = { payer, ata: destination, owner: address(to), mint: address(mint) };
      return [
        ...(isMade ? [] : [getCreateAssociatedTokenIdempotentInstruction(make)]),
        getTransferCheckedInstruction({
          source: address(from),
          mint: address(mint),
          destination,
          authority: createNoopSigner(address(authority)),
          amount,
          decimals,
        }),
      ];
    }),
  );
  return withNonce(feePayer, nonce, [...priced(price), ...instructions.flat()]);
}

/** Ends a nonce and does nothing else: whatever was signed with it can never be executed from then on. */
export const advanceTransaction = (feePayer: string, nonce: NonceInForce, price: Price): Transaction =>
  withNonce(feePayer, nonce, priced(price));

/** Repeated, it fails and changes nothing: so it needs no nonce itself. */
export function nonceAccountTransaction(
  feePayer: string,
  { account, number, rentLamports }: { account: string; number: number; rentLamports: bigint },
  blockhash: Parameters<typeof setTransactionMessageLifetimeUsingBlockhash>[0],
): Transaction {
  const payer = createNoopSigner(address(feePayer));
  const create = getCreateAccountWithSeedInstruction({
    payer,
    newAccount: address(account),
    base: payer.address,
    baseAccount: payer,
    seed: nonceSeed(number),
    amount: rentLamports,
    space: 80,
    programAddress: SYSTEM_PROGRAM_ADDRESS,
  });
  const initialize = getInitializeNonceAccountInstruction({
    nonceAccount: address(account),
    nonceAuthority: payer.address,
  });
  return compileTransaction(
    pipe(
      begun(feePayer),
      message => setTransactionMessageLifetimeUsingBlockhash(blockhash, message),
      message => appendTransactionMessageInstructions([create, initialize], message),
    ),
  );
}

export interface Signed {
  signature: string;
  bytes: Uint8Array;
}

/** Throws RangeError where a key is missing: then it is a bug, and nothing is sent. */
export async function signedBy(signer: Signer, keys: readonly KeyId[], transaction: Transaction): Promise<Signed> {
  const signatures: Record<Address, SignatureBytes | null> = { ...transaction.signatures };
  for (const key of keys) {
    const of = address(await signer.address(key));
    if (of in signatures) {
      signatures[of] = (await signer.sign(key, new Uint8Array(transaction.messageBytes))) as SignatureBytes;
    }
  }
  for (const [of, signature] of Object.entries(signatures)) {
    if (signature === null) throw new RangeError(`a transaction lacks the signature of ${of}`);
  }
  const whole = Object.freeze({ ...transaction, signatures }) as Transaction;
  const bytes = new Uint8Array(Buffer.from(getBase64EncodedWireTransaction(whole), 'base64'));
  return { signature: getSignatureFromTransaction(whole), bytes };
}

export const unsignedWire = (transaction: Transaction) => getBase64EncodedWireTransaction(transaction);
