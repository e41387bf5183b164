/** Solana's JSON-RPC in front of a chain of ours: the part that production uses, in the same words. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Address,
  address,
  getBase64Decoder,
  getSignatureFromTransaction,
  getTransactionDecoder,
} from '@solana/kit';
import { type Executed, SvmChain, type TokenBalance } from './svm-chain.js';

type Params = readonly unknown[];
interface Options {
  commitment?: string;
  limit?: number;
  before?: string;
  until?: string;
}

export class SvmRpc {
  readonly chain = new SvmChain();
  readonly calls: string[] = [];
  /** What was sent and is confirmed, but not yet final: only while `holding`. */
  readonly pending: Uint8Array[] = [];
  holding = false;
  priorityFees: number[] = [];
  /** Throws to answer 503 in place of the answer: before the call has done anything, or after it has done all. */
  intercept: (method: string, moment: 'before' | 'after', params: Params) => void = () => undefined;
  #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', part => parts.push(part));
      request.on('end', () => {
        const { id, method, params = [] } = JSON.parse(Buffer.concat(parts).toString());
        this.calls.push(method);
        let status = 200;
        let answer: object;
        try {
          this.intercept(method, 'before', params);
          answer = { jsonrpc: '2.0', id, ...this.#answer(method, params) };
          this.intercept(method, 'after', params);
        } catch (error) {
          status = 503;
          answer = { message: String(error) };
        }
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(answer, (_, value) => (typeof value === 'bigint' ? Number(value) : value)));
      });
    });
  }

  static async start(): Promise<SvmRpc> {
    const rpc = new SvmRpc();
    await new Promise<void>(ready => rpc.#server.listen(0, '127.0.0.1', ready));
    return rpc;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What was held is final now. */
  finalize(): void {
    for (const bytes of this.pending.splice(0)) this.chain.execute(bytes);
  }

  /** The fork that they were on has lost. */
  dropFork(): void {
    this.pending.length = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>(done => this.#server.close(() => done()));
  }

  #answer(method: string, params: Params): { result: unknown } | { error: { code: number; message: string } } {
    const answer = this.#methods[method];
    if (!answer) return { error: { code: -32_601, message: `Method not found: ${method}` } };
    const result = answer(params);
    if (typeof result === 'object' && result !== null && 'rpcError' in result) {
      return { error: { code: -32_002, message: String(result.rpcError) } };
    }
    return { result };
  }

  #withContext = (value: unknown) => ({ context: { apiVersion: '3.0.0', slot: this.chain.slot }, value });

  #methods: Record<string, (params: Params) => unknown> = {
    getHealth: () => 'ok',
    getSlot: () => this.chain.slot,
    getBalance: ([at]) => this.#withContext(this.chain.vm.getBalance(address(at as string)) ?? 0),
    getLatestBlockhash: () =>
      this.#withContext({ blockhash: this.chain.vm.latestBlockhash(), lastValidBlockHeight: this.chain.slot + 150 }),
    getMinimumBalanceForRentExemption: ([size]) => this.chain.vm.minimumBalanceForRentExemption(BigInt(size as number)),
    getRecentPrioritizationFees: () =>
      this.priorityFees.map(prioritizationFee => ({ slot: this.chain.slot, prioritizationFee })),
    getAccountInfo: ([at]) => this.#withContext(this.#account(at as string)),
    getMultipleAccounts: ([all]) => this.#withContext((all as string[]).map(at => this.#account(at))),
    getTokenAccountBalance: ([at]) => {
      const account = this.chain.tokenAccount(address(at as string));
      if (!account) return { rpcError: 'Invalid param: could not find account' };
      return this.#withContext(this.#uiAmount(account));
    },
    getSignaturesForAddress: ([at, options]) => this.#signaturesOf(at as string, (options ?? {}) as Options),
    getSignatureStatuses: ([all]) => this.#withContext((all as string[]).map(signature => this.#status(signature))),
    getTransaction: ([signature]) => {
      const found = this.#find(signature as string);
      return found ? this.#transaction(found) : null;
    },
    simulateTransaction: ([bytes]) => {
      const { error, logs } = this.chain.simulate(new Uint8Array(Buffer.from(bytes as string, 'base64')));
      return this.#withContext({ err: error, logs });
    },
    sendTransaction: ([text]) => {
      const bytes = new Uint8Array(Buffer.from(text as string, 'base64'));
      const signature = getSignatureFromTransaction(getTransactionDecoder().decode(bytes));
      if (!this.holding) this.chain.execute(bytes);
      else if (!this.#status(signature)) this.pending.push(bytes);
      // As a validator answers without a preflight: that it has it, not that it worked.
      return signature;
    },
  };

  #find = (signature: string) => this.chain.executed.find(executed => executed.signature === signature);

  #status(signature: string) {
    const found = this.#find(signature);
    const status = { confirmations: null, err: found?.error ?? null, slot: found?.slot ?? this.chain.slot };
    if (found) return { ...status, confirmationStatus: 'finalized' };
    const held = this.pending.some(
      bytes => getSignatureFromTransaction(getTransactionDecoder().decode(bytes)) === signature,
    );
    return held ? { ...status, confirmations: 1, confirmationStatus: 'confirmed' } : null;
  }

  #account(at: string) {
    const account = this.chain.vm.getAccount(address(at));
    if (!account.exists) return null;
    const data = getBase64Decoder().decode(account.data);
    return {
      data: [data, 'base64'],
      executable: account.executable,
      lamports: account.lamports,
      owner: account.programAddress,
      rentEpoch: 0,
      space: account.data.length,
    };
  }

  #signaturesOf(at: string, { limit = 1_000, before, until }: Options) {
    const all = this.chain.executed.filter(({ keys }) => keys.includes(at as Address)).reverse();
    const from = before === undefined ? 0 : all.findIndex(({ signature }) => signature === before) + 1;
    const to = until === undefined ? -1 : all.findIndex(({ signature }) => signature === until);
    return all
      .slice(from, to < 0 ? undefined : to)
      .slice(0, limit)
      .map(({ signature, slot, error }) => ({
        signature,
        slot,
        err: error,
        memo: null,
        blockTime: 1_800_000_000 + slot,
        confirmationStatus: 'finalized',
      }));
  }

  #transaction({ signature, slot, error, message, keys, before, after }: Executed) {
    const balance = (all: readonly TokenBalance[]) =>
      all.map(({ accountIndex, mint, owner, amount }) => ({
        accountIndex,
        mint,
        owner,
        programId: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA',
        uiTokenAmount: this.#uiAmount({ mint, amount }),
      }));
    return {
      slot,
      blockTime: 1_800_000_000 + slot,
      version: 0,
      meta: {
        err: error,
        fee: 5_000,
        preBalances: [],
        postBalances: [],
        preTokenBalances: balance(before),
        postTokenBalances: balance(after),
        loadedAddresses: { readonly: [], writable: [] },
        logMessages: [],
        status: error ? { Err: error } : { Ok: null },
      },
      transaction: {
        signatures: [signature],
        message: {
          accountKeys: keys,
          header: message.header,
          instructions: [],
          recentBlockhash: (message as { lifetimeToken?: string }).lifetimeToken,
        },
      },
    };
  }

  #uiAmount({ mint, amount }: { mint: string; amount: bigint }) {
    const decimals = this.chain.decimalsOf(mint);
    return {
      amount: String(amount),
      decimals,
      uiAmount: null,
      uiAmountString: String(Number(amount) / 10 ** decimals),
    };
  }
}
