/**
 * The whole way with the built programs: keys are made, a renter pays in on the chain, a supplier earns and is paid out on
 * it, and the control plane is killed in between. The chain is one of ours with the real programs.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Part, Payee, Stack, TestChain, until } from './harness/index.js';

jest.setTimeout(180_000);

let directory: string;
let chain: TestChain;
let stack: Stack;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iocloud-e2e-settlement-'));
  chain = await TestChain.start(directory);
  expect((await chain.init()).code).toBe(2);
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1', ...chain.env } });
});
afterAll(async () => {
  await stack?.stop();
  await chain?.stop();
  await rm(directory, { recursive: true, force: true });
});

const operator = (...args: string[]) => stack.said(...args);

const as = (key: string, ...args: string[]) => stack.saidTo(key, ...args);

test('what a renter pays in on the chain pays a supplier there, to the unit and once, through a kill -9', async () => {
  const tenant = async (name: string) =>
    JSON.parse(await operator('tenant', 'create', name, '--json')).apiKey.secret as string;
  const [renter, supplier] = [await tenant('vision'), await tenant('acme')];
  const { address } = JSON.parse(await as(renter, 'deposit', 'address', '--json'));
  await chain.issue(address, 10_00000000n);
  await until('the deposit', 60_000, async () => (await as(renter, 'balance')).includes('10.00000000'));

  await operator('ledger', 'hold', 'order-1', 'vision', '10', 'IO', '--memo', 'a day');
  const usage = ['--supplier', 'acme', '--cost', '7.4', '--usd-per-io', '37/20', '--memo', 'hour 1'];
  await operator('ledger', 'settle', 'order-1', ...usage);
  expect(await as(supplier, 'balance')).toMatch(/earnings +IO +3\.99000000/);

  const wallet = await chain.wallet();
  const payee = await Payee.register((...args) => as(supplier, ...args), wallet);
  const payoutId = await payee.request('3.99');
  // It is taken by the chain, and the answer never comes: the control plane dies over it.
  let taken = false;
  chain.rpc.intercept = (method, moment) => {
    if (method === 'sendTransaction' && moment === 'after') taken = true;
    if (taken) throw new Error('gone');
  };
  await payee.confirm(payoutId);
  await until('the transaction at the node', 60_000, async () => taken);
  await stack.kill9('control plane' as Part);
  chain.rpc.intercept = () => undefined;
  await until('the payout', 90_000, async () =>
    (await stack.iocloud('payout', 'show', payoutId)).stdout.includes('finalized'),
  );
  expect(await chain.balance(wallet)).toBe(3_99000000n);
  expect(await as(supplier, 'balance')).toMatch(/earnings +IO +0\.00000000/);
  expect((await as(supplier, 'payout', 'show', payoutId)).replaceAll('\n', ' ')).toMatch(
    /explorer\.solana\.com\/tx\/\w{80,}/,
  );
  await until('the sweep', 60_000, async () => (await chain.balance(address)) === 0n);
  expect(await chain.balance(chain.treasury)).toBe(56_01000000n);
  await until('agreement', 60_000, async () =>
    /IO +56\.01000000 +56\.01000000 +0\.00000000/.test(await operator('settlement', 'status')),
  );
  expect((await stack.iocloud('ledger', 'check')).code).toBe(0);
});
