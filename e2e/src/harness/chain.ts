/** A Solana of one process with the real programs, what a control plane needs to settle on it, and tenants who take money out. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, SvmRpc, stepAt, type Token, TokenIssuer } from '@iocloud/control-plane/settlement/testing';
import { iocloudProgram, type Result, run } from './stack.js';

export class TestChain {
  private constructor(
    readonly rpc: SvmRpc,
    readonly issuer: TokenIssuer,
    readonly io: Token,
    readonly treasury: string,
    /** What the control plane is configured with. */
    readonly env: Record<string, string>,
    /** Makes the keys once more. */
    readonly init: () => Promise<Result>,
  ) {}

  /** With 50 IO in the treasury; its files are put into the directory. */
  static async start(directory: string, settings: Record<string, unknown> = {}): Promise<TestChain> {
    const rpc = await SvmRpc.start();
    const issuer = await TokenIssuer.on(rpc);
    const io = await issuer.mint(8);
    mkdirSync(directory, { recursive: true });
    const [keystore, passphrase, terms] = ['keystore', 'passphrase', 'settlement'].map(name =>
      join(directory, name),
    ) as [string, string, string];
    writeFileSync(passphrase, 'twelve characters and more\n', { mode: 0o600 });
    const stated = { mints: { IO: io.mint }, addressWaitSeconds: 0, turnSeconds: 0.2, ...settings };
    writeFileSync(terms, JSON.stringify(stated));
    const args = ['settlement', 'init', '--keystore', keystore, '--passphrase-file', passphrase, '--json'];
    const init = () => run(process.execPath, [iocloudProgram, ...args], { env: process.env as Record<string, string> });
    const { feePayer, treasury } = JSON.parse((await init()).stdout);
    rpc.chain.fund(feePayer, 5_000_000_000n);
    await issuer.issue(io, treasury, 50_00000000n);
    return new TestChain(
      rpc,
      issuer,
      io,
      treasury,
      {
        SOLANA_RPC_URL: rpc.url,
        IOCLOUD_SETTLEMENT_FILE: terms,
        IOCLOUD_SETTLEMENT_KEYSTORE: keystore,
        IOCLOUD_SETTLEMENT_PASSPHRASE_FILE: passphrase,
      },
      init,
    );
  }

  async wallet(): Promise<string> {
    return (await TokenIssuer.on(this.rpc)).signer.address;
  }

  balance(owner: string): Promise<bigint> {
    return this.issuer.balance(this.io, owner);
  }

  issue(to: string, units: bigint): Promise<string> {
    return this.issuer.issue(this.io, to, units);
  }

  /** What the treasury holds changes by so much, and no transaction has done it: only a fault or a theft looks like that. */
  forge(units: bigint): Promise<void> {
    return this.issuer.forge(this.io, this.treasury, units);
  }

  stop(): Promise<void> {
    return this.rpc.stop();
  }
}

/** A tenant with an authenticator and an address to be paid at; `as` runs a command as it. */
export class Payee {
  #step = stepAt(Date.now()) - 1;

  private constructor(
    readonly as: (...args: string[]) => Promise<string>,
    readonly secret: Buffer,
  ) {}

  addressId = '';

  static async register(as: (...args: string[]) => Promise<string>, wallet: string): Promise<Payee> {
    const { uri } = JSON.parse(await as('payout', 'second-factor', '--json'));
    const payee = new Payee(as, fromBase32(new URL(uri).searchParams.get('secret') ?? ''));
    await as('payout', 'second-factor', '--prove', payee.#code());
    const added = await as('payout', 'address', 'add', wallet, '--code', payee.#code(), '--json');
    payee.addressId = JSON.parse(added).id;
    return payee;
  }

  /** Each is taken once, and only those of about now: there are three of them. */
  #code(): string {
    return codeOf(this.secret, this.#step++);
  }

  /** Returns the payout's id. */
  async request(amount: string, ...more: string[]): Promise<string> {
    return JSON.parse(await this.as('payout', 'request', amount, 'IO', '--to', this.addressId, '--json', ...more)).id;
  }

  async confirm(id: string): Promise<void> {
    await this.as('payout', 'confirm', id, '--code', this.#code());
  }
}

/** RFC 4648, without padding. */
function fromBase32(text: string): Buffer {
  const bits = [...text].map(digit => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(digit).toString(2).padStart(5, '0'));
  return Buffer.from((bits.join('').match(/.{8}/g) ?? []).map(part => Number.parseInt(part, 2)));
}
