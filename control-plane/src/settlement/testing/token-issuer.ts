/** Real SPL mints on a chain of ours, whoever issues them, and people who hold the tokens. */

import {
  type Address,
  address,
  appendTransactionMessageInstructions,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  type Instruction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  signTransactionMessageWithSigners,
} from '@solana/kit';
import { getCreateAccountInstruction } from '@solana-program/system';
import {
  getCreateAssociatedTokenIdempotentInstruction,
  getInitializeMint2Instruction,
  getMintToInstruction,
  getTokenDecoder,
  getTokenEncoder,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import { tokenAccountOf } from '../chain/build.js';
import type { SvmRpc } from './svm-rpc.js';

export interface Token {
  mint: string;
  decimals: number;
}

const mintBytes = 82n;

export class TokenIssuer {
  private constructor(
    readonly rpc: SvmRpc,
    readonly signer: KeyPairSigner,
  ) {}

  static async on(rpc: SvmRpc): Promise<TokenIssuer> {
    const signer = await generateKeyPairSigner();
    rpc.chain.fund(signer.address, 100_000_000_000n);
    return new TokenIssuer(rpc, signer);
  }

  async mint(decimals: number): Promise<Token> {
    const mint = await generateKeyPairSigner();
    const lamports = this.rpc.chain.vm.minimumBalanceForRentExemption(mintBytes);
    const size = { space: mintBytes, programAddress: TOKEN_PROGRAM_ADDRESS };
    await this.send([
      getCreateAccountInstruction({ payer: this.signer, newAccount: mint, lamports, ...size }),
      getInitializeMint2Instruction({ mint: mint.address, decimals, mintAuthority: this.signer.address }),
    ]);
    return { mint: mint.address, decimals };
  }

  /** Gives new tokens to the associated account of `to`. Returns the signature. */
  async issue(token: Token, to: string, amount: bigint): Promise<string> {
    return this.send(await this.issuing(token, to, amount));
  }

  async issuing({ mint }: Token, to: string, amount: bigint): Promise<Instruction[]> {
    const ata = address(await tokenAccountOf(to, mint));
    const make = { payer: this.signer, ata, owner: address(to), mint: address(mint) };
    return [
      getCreateAssociatedTokenIdempotentInstruction(make),
      getMintToInstruction({ mint: address(mint), token: ata, mintAuthority: this.signer, amount }),
    ];
  }

  /** What `owner` does on its own with its tokens. */
  async move({ mint, decimals }: Token, owner: KeyPairSigner, to: string, amount: bigint): Promise<string> {
    const destination = address(await tokenAccountOf(to, mint));
    const source = address(await tokenAccountOf(owner.address, mint));
    const make = { payer: this.signer, ata: destination, owner: address(to), mint: address(mint) };
    return this.send([
      getCreateAssociatedTokenIdempotentInstruction(make),
      getTransferCheckedInstruction({ source, mint: address(mint), destination, authority: owner, amount, decimals }),
    ]);
  }

  async balance({ mint }: Token, owner: string): Promise<bigint> {
    return this.rpc.chain.tokenAccount((await tokenAccountOf(owner, mint)) as Address)?.amount ?? 0n;
  }

  /** Changes what somebody holds without any transaction, as no chain does. */
  async forge({ mint }: Token, owner: string, units: bigint): Promise<void> {
    const { vm } = this.rpc.chain;
    const account = vm.getAccount(address(await tokenAccountOf(owner, mint)));
    if (!account.exists) throw new Error(`${owner} has no account for ${mint}`);
    const token = getTokenDecoder().decode(account.data);
    const data = new Uint8Array(getTokenEncoder().encode({ ...token, amount: token.amount + units }));
    vm.setAccount({ ...account, data });
  }

  async send(instructions: readonly Instruction[]): Promise<string> {
    this.rpc.chain.pass();
    const message = pipe(
      setTransactionMessageFeePayerSigner(this.signer, createTransactionMessage({ version: 0 })),
      begun => this.rpc.chain.vm.setTransactionMessageLifetimeUsingLatestBlockhash(begun),
      begun => appendTransactionMessageInstructions(instructions, begun),
    );
    const wire = getBase64EncodedWireTransaction(await signTransactionMessageWithSigners(message));
    const bytes = new Uint8Array(Buffer.from(wire, 'base64'));
    if (this.rpc.holding) {
      this.rpc.pending.push(bytes);
      return '';
    }
    const result = this.rpc.chain.execute(bytes);
    if ('refused' in result || result.executed.error !== null) {
      throw new Error(
        `the chain refused it: ${'refused' in result ? result.refused : JSON.stringify(result.executed.error)}`,
      );
    }
    return result.executed.signature;
  }
}
