/**
 * The whole way with the built programs: keys are made, a renter pays in on the chain, a supplier earns and is paid out on
 * it, and the control plane is killed in between. The chain is one of ours with the real programs.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeOf, SvmRpc, stepAt, type Token, TokenIssuer } from '@iocloud/control-plane/settlement/testing';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { fromBase32, type Part, repository, run, Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let directory: string;
let rpc: SvmRpc;
let issuer: TokenIssuer;
let io: Token;
let stack: Stack;
let made: { feePayer: string; treasury: string };
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iocloud-e2e-settlement-'));
  rpc = await SvmRpc.start();
  issuer = await TokenIssuer.on(rpc);
  io = await issuer.mint(8);
  const [keystore, passphrase, terms] = ['keystore', 'passphrase', 'terms'].map(name => join(directory, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(passphrase, 'twelve characters and more\n');
  await writeFile(terms, JSON.stringify({ mints: { IO: io.mint }, addressWaitSeconds: 0, turnSeconds: 0.2 }));
  const cli = join(repository, 'cli/bin/iocloud.js');
  const init = ['settlement', 'init', '--keystore', keystore, '--passphrase-file', passphrase, '--json'];
  made = JSON.parse(
    (await run(process.execPath, [cli, ...init], { env: process.env as Record<string, string> })).stdout,
  );
  expect((await run(process.execPath, [cli, ...init], { env: process.env as Record<string, string> })).code).toBe(2);
  rpc.chain.fund(made.feePayer, 5_000_000_000n);
  await issuer.issue(io, made.treasury, 50_00000000n);
  stack = await Stack.start({
    env: {
      ...{ IOCLOUD_NODE_CPUS: '1', SOLANA_RPC_URL: rpc.url, IOCLOUD_SETTLEMENT_FILE: terms },
      ...{ IOCLOUD_SETTLEMENT_KEYSTORE: keystore, IOCLOUD_SETTLEMENT_PASSPHRASE_FILE: passphrase },
    },
  });
});
afterAll(async () => {
  await stack?.stop();
  await rpc?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function operator(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await stack.iocloud(...args);
  if (code !== 0) throw new Error(`iocloud ${args.join(' ')} exited with ${code}: ${stderr}`);
  return stdout;
}

async function as(key: string, ...args: string[]): Promise<string> {
  const env = { ...stack.env, IOCLOUD_API_KEY: key };
  const { code, stdout, stderr } = await run(process.execPath, [join(repository, 'cli/bin/iocloud.js'), ...args], {
    env,
  });
  if (code !== 0) throw new Error(`iocloud ${args.join(' ')} exited with ${code}: ${stderr}`);
  return stdout;
}

test('what a renter pays in on the chain pays a supplier there, to the unit and once, through a kill -9', async () => {
  const tenant = async (name: string) =>
    JSON.parse(await operator('tenant', 'create', name, '--json')).apiKey.secret as string;
  const [renter, supplier] = [await tenant('vision'), await tenant('acme')];
  const { address } = JSON.parse(await as(renter, 'deposit', 'address', '--json'));
  await issuer.issue(io, address, 10_00000000n);
  await until('the deposit', 60_000, async () => (await as(renter, 'balance')).includes('10.00000000'));

  await operator('ledger', 'hold', 'order-1', 'vision', '10', 'IO', '--memo', 'a day');
  const usage = ['--supplier', 'acme', '--cost', '7.4', '--usd-per-io', '37/20', '--memo', 'hour 1'];
  await operator('ledger', 'settle', 'order-1', ...usage);
  expect(await as(supplier, 'balance')).toMatch(/earnings +IO +3\.99000000/);

  const { uri } = JSON.parse(await as(supplier, 'payout', 'second-factor', '--json'));
  const secret = fromBase32(new URL(uri).searchParams.get('secret') ?? '');
  let step = stepAt(Date.now()) - 1;
  const code = () => codeOf(secret, step++);
  await as(supplier, 'payout', 'second-factor', '--prove', code());
  const wallet = issuer.signer.address;
  const added = JSON.parse(await as(supplier, 'payout', 'address', 'add', wallet, '--code', code(), '--json'));
  const asked = JSON.parse(await as(supplier, 'payout', 'request', '3.99', 'IO', '--to', added.id, '--json'));
  // It is taken by the chain, and the answer never comes: the control plane dies over it.
  let taken = false;
  rpc.intercept = (method, moment) => {
    if (method === 'sendTransaction' && moment === 'after') taken = true;
    if (taken) throw new Error('gone');
  };
  await as(supplier, 'payout', 'confirm', asked.id, '--code', code());
  await until('the transaction at the node', 60_000, async () => taken);
  await stack.kill9('control plane' as Part);
  rpc.intercept = () => undefined;
  await until('the payout', 90_000, async () =>
    (await stack.iocloud('payout', 'show', asked.id)).stdout.includes('finalized'),
  );
  expect(await issuer.balance(io, wallet)).toBe(3_99000000n);
  expect(await as(supplier, 'balance')).toMatch(/earnings +IO +0\.00000000/);
  expect((await as(supplier, 'payout', 'show', asked.id)).replaceAll('\n', ' ')).toMatch(
    /explorer\.solana\.com\/tx\/\w{80,}/,
  );
  await until('the sweep', 60_000, async () => (await issuer.balance(io, address)) === 0n);
  expect(await issuer.balance(io, made.treasury)).toBe(56_01000000n);
  await until('agreement', 60_000, async () =>
    /IO +56\.01000000 +56\.01000000 +0\.00000000/.test(await operator('settlement', 'status')),
  );
  expect((await stack.iocloud('ledger', 'check')).code).toBe(0);
});
