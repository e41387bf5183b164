/**
 * A Solana of one process: the real virtual machine with the real System and SPL Token programs (litesvm), and around it
 * what a validator adds and litesvm does not: slots that pass, what was executed by address, token balances before and
 * after, and that a durable nonce moves on even where the rest of its transaction fails.
 */
import { createHash } from 'node:crypto';
import {
  type Address,
  address,
  type CompiledTransactionMessage,
  decompileTransactionMessage,
  getBase58Decoder,
  getBase58Encoder,
  getCompiledTransactionMessageDecoder,
  getSignatureFromTransaction,
  getTransactionDecoder,
  lamports,
} from '@solana/kit';
import { getNonceDecoder, getNonceEncoder, SYSTEM_PROGRAM_ADDRESS } from '@solana-program/system';
import { getTokenDecoder, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';

export interface TokenBalance {
  accountIndex: number;
  mint: string;
  owner: string;
  amount: bigint;
}

export interface Executed {
  signature: string;
  slot: number;
  /** As the RPC tells it; null: it succeeded. */
  error: unknown;
  message: CompiledTransactionMessage;
  keys: Address[];
  before: TokenBalance[];
  after: TokenBalance[];
}

export class SvmChain {
  readonly vm = new LiteSVM().withTransactionHistory(0n);
  slot = 100;
  /** Oldest first. */
  readonly executed: Executed[] = [];

  pass(): void {
    this.slot += 1;
    this.vm.warpToSlot(BigInt(this.slot));
    this.vm.expireBlockhash();
  }

  fund(to: string, amount: bigint): void {
    this.vm.airdrop(address(to), lamports(amount));
  }

  decimalsOf(mint: string): number {
    const account = this.vm.getAccount(address(mint));
    return account.exists ? (account.data[44] ?? 0) : 0;
  }

  tokenAccount(at: Address): { mint: string; owner: string; amount: bigint } | null {
    const account = this.vm.getAccount(at);
    if (!account.exists || account.programAddress !== TOKEN_PROGRAM_ADDRESS || account.data.length !== 165) return null;
    const { mint, owner, amount } = getTokenDecoder().decode(account.data);
    return { mint, owner, amount };
  }

  /** Executes it, or says why it can never be part of the chain as it is (a nonce or blockhash that is over, no fee). */
  execute(bytes: Uint8Array): { executed: Executed } | { refused: string } {
    const transaction = getTransactionDecoder().decode(bytes);
    const signature = getSignatureFromTransaction(transaction);
    const known = this.executed.find(other => other.signature === signature);
    if (known) return { executed: known };
    const message = getCompiledTransactionMessageDecoder().decode(
      transaction.messageBytes,
    ) as CompiledTransactionMessage;
    const keys = message.staticAccounts;
    // A nonce moves on only from one blockhash to another; who signed for a blockhash finds it in force.
    if (nonceOf(message) === undefined) this.slot += 1;
    else this.pass();
    const before = this.#tokenBalances(keys);
    const result = this.vm.sendTransaction(transaction);
    const failed = result instanceof FailedTransactionMetadata ? result : null;
    const error = failed ? errorOf(failed) : null;
    // Only what fails in an instruction becomes part of the chain; the rest is not taken in.
    if (failed && !(typeof error === 'object' && error !== null && 'InstructionError' in error)) {
      return { refused: String(error) };
    }
    if (failed) this.#advanceNonce(message);
    const executed = { signature, slot: this.slot, error, message, keys, before, after: this.#tokenBalances(keys) };
    this.executed.push(executed);
    return { executed };
  }

  /** What it would fail with; null: nothing. Its signatures are not looked at. */
  simulate(bytes: Uint8Array): { error: unknown; logs: string[] } {
    this.pass();
    this.vm.withSigverify(false);
    try {
      const result = this.vm.simulateTransaction(getTransactionDecoder().decode(bytes));
      const failed = result instanceof FailedTransactionMetadata;
      return { error: failed ? errorOf(result) : null, logs: result.meta().logs() };
    } finally {
      this.vm.withSigverify(true);
    }
  }

  #tokenBalances(keys: readonly Address[]): TokenBalance[] {
    return keys.flatMap((key, accountIndex) => {
      const account = this.tokenAccount(key);
      return account ? [{ accountIndex, ...account }] : [];
    });
  }

  /** As a validator rolls a failed transaction back: to the state with the nonce moved on. litesvm rolls back all of it. */
  #advanceNonce(message: CompiledTransactionMessage): void {
    const nonce = nonceOf(message);
    if (nonce === undefined) return;
    for (const key of message.staticAccounts) {
      const account = this.vm.getAccount(key);
      if (!account.exists || account.programAddress !== SYSTEM_PROGRAM_ADDRESS || account.data.length !== 80) continue;
      const state = getNonceDecoder().decode(account.data);
      if (state.blockhash !== nonce) continue;
      const next = createHash('sha256')
        .update('DURABLE_NONCE')
        .update(Buffer.from(getBase58Encoder().encode(this.vm.latestBlockhash())))
        .digest();
      const data = getNonceEncoder().encode({ ...state, blockhash: address(getBase58Decoder().decode(next)) });
      this.vm.setAccount({ ...account, data: new Uint8Array(data) });
    }
  }
}

function errorOf(failed: FailedTransactionMetadata): unknown {
  const error = failed.err() as { index?: number; error?: () => unknown } | number;
  if (typeof error === 'object' && typeof error.index === 'number') {
    return { InstructionError: [error.index, { Custom: 1 }] };
  }
  return `TransactionError ${String(error)}`;
}

function nonceOf(message: CompiledTransactionMessage): string | undefined {
  const { lifetimeConstraint } = decompileTransactionMessage(message as never) as {
    lifetimeConstraint?: { nonce?: string };
  };
  return lifetimeConstraint?.nonce;
}
