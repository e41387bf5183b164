/** What settlement asks of a Solana node. All that money depends on is read at finality: what is final is not taken back. */

import {
  type Address,
  address,
  type Base64EncodedWireTransaction,
  createSolanaRpc,
  getBase64Encoder,
  isSolanaError,
  type Signature,
} from '@solana/kit';
import { getNonceDecoder, SYSTEM_PROGRAM_ADDRESS } from '@solana-program/system';
import { getTokenDecoder, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import type { TokenBalance } from '../../core/settlement/index.js';

export interface ChainAccount {
  owner: string;
  lamports: bigint;
  data: Uint8Array;
}

export interface ChainTransaction {
  slot: bigint;
  failed: boolean;
  error: string;
  /** A blockhash, or the nonce in its place. */
  lifetime: string;
  before: TokenBalance[];
  after: TokenBalance[];
}

export interface SignatureLine {
  signature: string;
  failed: boolean;
}

export interface Fault {
  /** Which one failed, from 0; null: the transaction as a whole was not taken. */
  instruction: number | null;
  words: string;
}

/** `SOLANA_RPC_URL` often holds the key of a provider: no error of it is let out with an address. */
export class ChainUnreachable extends Error {}

const finalized = { commitment: 'finalized' } as const;
const timeoutMs = 20_000;
/** What a node answers at most for one call. */
const mostAccounts = 100;
export const signaturePage = 1_000;

export class Chain {
  readonly #rpc: ReturnType<typeof createSolanaRpc>;

  constructor(url: string) {
    this.#rpc = createSolanaRpc(url as Parameters<typeof createSolanaRpc>[0]);
  }

  async slot(): Promise<bigint> {
    return this.#call('getSlot', signal => this.#rpc.getSlot(finalized).send({ abortSignal: signal }));
  }

  /** In the order of the addresses; null where there is none. */
  async accounts(addresses: readonly string[]): Promise<(ChainAccount | null)[]> {
    const all: (ChainAccount | null)[] = [];
    for (let from = 0; from < addresses.length; from += mostAccounts) {
      const some = addresses.slice(from, from + mostAccounts).map(text => address(text));
      const { value } = await this.#call('getMultipleAccounts', signal =>
        this.#rpc.getMultipleAccounts(some, { ...finalized, encoding: 'base64' }).send({ abortSignal: signal }),
      );
      for (const account of value) {
        all.push(
          account && {
            owner: account.owner,
            lamports: account.lamports,
            data: new Uint8Array(getBase64Encoder().encode(account.data[0])),
          },
        );
      }
    }
    return all;
  }

  /** Zero where there is no account; null where it is no token account. */
  async tokenAmounts(addresses: readonly string[]): Promise<(bigint | null)[]> {
    return (await this.accounts(addresses)).map(account => {
      if (account === null) return 0n;
      return account.owner === TOKEN_PROGRAM_ADDRESS && account.data.length === 165
        ? getTokenDecoder().decode(account.data).amount
        : null;
    });
  }

  /** The nonces in force; null where there is no nonce account. */
  async nonces(addresses: readonly string[]): Promise<(string | null)[]> {
    return (await this.accounts(addresses)).map(account =>
      account !== null && account.owner === SYSTEM_PROGRAM_ADDRESS && account.data.length === 80
        ? getNonceDecoder().decode(account.data).blockhash
        : null,
    );
  }

  /** Newest first. */
  async signaturesOf(
    at: string,
    range: { until?: string | null; before?: string | null } = {},
  ): Promise<SignatureLine[]> {
    const options = {
      ...finalized,
      limit: signaturePage,
      ...(range.until ? { until: range.until as Signature } : {}),
      ...(range.before ? { before: range.before as Signature } : {}),
    };
    const lines = await this.#call('getSignaturesForAddress', signal =>
      this.#rpc.getSignaturesForAddress(address(at), options).send({ abortSignal: signal }),
    );
    return lines.map(({ signature, err }) => ({ signature, failed: err !== null }));
  }

  /** Null: the node has none that is final. */
  async transaction(signature: string): Promise<ChainTransaction | null> {
    const found = await this.#call('getTransaction', signal =>
      this.#rpc
        .getTransaction(signature as Signature, { ...finalized, encoding: 'json', maxSupportedTransactionVersion: 0 })
        .send({ abortSignal: signal }),
    );
    if (!found?.meta) return null;
    const { meta, transaction } = found;
    const loaded = meta.loadedAddresses ?? { writable: [], readonly: [] };
    const keys: readonly Address[] = [...transaction.message.accountKeys, ...loaded.writable, ...loaded.readonly];
    const balances = (all: typeof meta.preTokenBalances) =>
      (all ?? []).map(({ accountIndex, mint, owner, uiTokenAmount }) => ({
        account: keys[accountIndex] ?? '',
        mint,
        owner: owner ?? '',
        amount: BigInt(uiTokenAmount.amount),
      }));
    return {
      slot: found.slot,
      failed: meta.err !== null,
      error: meta.err === null ? '' : inWords(meta.err),
      lifetime: transaction.message.recentBlockhash,
      before: balances(meta.preTokenBalances),
      after: balances(meta.postTokenBalances),
    };
  }

  async latestBlockhash() {
    const { value } = await this.#call('getLatestBlockhash', signal =>
      this.#rpc.getLatestBlockhash(finalized).send({ abortSignal: signal }),
    );
    return value;
  }

  async rentLamports(bytes: bigint): Promise<bigint> {
    return this.#call('getMinimumBalanceForRentExemption', signal =>
      this.#rpc.getMinimumBalanceForRentExemption(bytes).send({ abortSignal: signal }),
    );
  }

  /** Of transactions that wrote to these accounts, in millionths of a lamport for a unit of computation. */
  async recentPriorityPrices(writable: readonly string[]): Promise<bigint[]> {
    const lines = await this.#call('getRecentPrioritizationFees', signal =>
      this.#rpc.getRecentPrioritizationFees(writable.map(text => address(text))).send({ abortSignal: signal }),
    );
    return lines.map(({ prioritizationFee }) => BigInt(prioritizationFee));
  }

  /** Null: it would go well. Signatures are not looked at. */
  async simulate(wire: Base64EncodedWireTransaction): Promise<Fault | null> {
    const { value } = await this.#call('simulateTransaction', signal =>
      this.#rpc
        .simulateTransaction(wire, { ...finalized, encoding: 'base64', sigVerify: false })
        .send({ abortSignal: signal }),
    );
    if (value.err === null) return null;
    const [instruction] =
      typeof value.err === 'object' && 'InstructionError' in value.err ? value.err.InstructionError : [];
    const words = [inWords(value.err), ...(value.logs ?? []).slice(-3)].join('; ');
    return { instruction: instruction === undefined ? null : Number(instruction), words };
  }

  /** Without a trial run: what fails is to fail on the chain, where it is final and ends its nonce. */
  async send(bytes: Uint8Array): Promise<void> {
    const wire = Buffer.from(bytes).toString('base64') as Base64EncodedWireTransaction;
    await this.#call('sendTransaction', signal =>
      this.#rpc
        .sendTransaction(wire, { encoding: 'base64', skipPreflight: true, maxRetries: 5n })
        .send({ abortSignal: signal }),
    );
  }

  async #call<T>(name: string, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await call(AbortSignal.timeout(timeoutMs));
    } catch (error) {
      const status = isSolanaError(error)
        ? ` (${(error.context as { statusCode?: number }).statusCode ?? error.name})`
        : '';
      throw new ChainUnreachable(`${name} got no answer from the Solana node${status}`);
    }
  }
}

const inWords = (value: unknown): string =>
  JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part));
