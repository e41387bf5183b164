import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Part, Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let renterKey: string;
let supplierKey: string;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2' } });
  const tenant = async (name: string) =>
    JSON.parse(await operator('tenant', 'create', name, '--json')).apiKey.secret as string;
  [renterKey, supplierKey] = [await tenant('vision'), await tenant('acme')];
});
afterAll(() => stack?.stop());

const operator = (...args: string[]) => stack.said(...args);
const as = (key: string, ...args: string[]) => stack.iocloudAs(key, ...args);

const settle = (key: string) =>
  operator(
    ...['ledger', 'settle', 'order-7', '--supplier', 'acme', '--cost', '1.234567', '--usd-per-io', '37/20'],
    ...['--memo', 'hour 1', '--key', key],
  );

test('the commands of README.md take an order from its credit to its end', async () => {
  expect((await as(renterKey, 'balance')).stdout).toBe('no money has come in yet\n');
  const credited = await operator('ledger', 'credit', 'vision', '250', 'usdc', '--reason', 'invoice 2026-118');
  expect(credited).toMatch(/available +USDC +250\.000000 +tn_/);
  expect(await operator('ledger', 'hold', 'order-7', 'vision', '100', 'USDC', '--memo', 'a day')).toMatch(
    /left +100\.000000 USDC\nstate +open/,
  );
  expect(await settle('hour 1')).toMatch(/paid +1\.262344\n.*\nearnings +IO +0\.66566486/s);
  expect(await operator('ledger', 'close', 'order-7')).toMatch(/left +0\.000000 USDC\nstate +closed/);
  expect((await as(renterKey, 'balance')).stdout).toMatch(/^ACCOUNT.*\navailable +USDC +248\.737656 +tn_\w+\n$/);
  const billing = (...args: string[]) => as(renterKey, 'billing', ...args);
  expect((await billing('set', '--pays-in', 'usdc', '--day-cap', '50')).stdout).toMatch(
    /billing +off.*\npays in +USDC\ntoday +\$0\.00, of \$50\.00 at the most/,
  );
  expect(JSON.parse((await billing('show', '--json')).stdout)).toMatchObject({
    mode: 'off',
    dayCapMicroUsd: 50_000_000,
  });
  expect((await billing('set')).code).not.toBe(0);
  expect((await as(supplierKey, 'balance')).stdout).toMatch(/\nearnings +IO +0\.66566486 /);
  const statement = (await as(renterKey, 'ledger', 'list')).stdout;
  expect(statement.split('\n').map(line => line.split(/ {2,}/)[2])).toEqual(
    expect.arrayContaining(['release', 'settlement', 'hold', 'credit']),
  );
  expect(await operator('ledger', 'list', '--tenant', 'acme')).toMatch(/settlement +hour 1 +earnings \+0\.66566486 IO/);
  expect(await operator('ledger', 'trial-balance')).toMatch(/\nUSDC +all +- +0\.000000\n/);
});

test('what was acknowledged is there after kill -9 of control plane and database, once, and the books are clean', async () => {
  const before = await operator('ledger', 'list', '--all', '--json');
  for (const part of ['control plane', 'postgres'] as Part[]) {
    await stack.kill9(part);
    await until(`${part} back`, 60_000, async () => (await stack.iocloud('ledger', 'check')).code === 0);
  }
  expect(await operator('ledger', 'list', '--all', '--json')).toBe(before);
  expect(await settle('hour 1')).toMatch(/paid +1\.262344\n/);
  expect(await operator('ledger', 'list', '--all', '--json')).toBe(before);
  expect(await operator('ledger', 'check')).toMatch(/4 transactions.*every balance is the sum of its postings/);
});

test.each([
  [
    'of an asset that is not known',
    ['credit', 'vision', '1', 'DOGE', '--reason', 'x'],
    2,
    /no asset; there are IO, USDC, USD/,
  ],
  ['of nothing', ['credit', 'vision', '0', 'IO', '--reason', 'x'], 2, /amount above zero/],
  ['to nobody', ['credit', 'nobody', '1', 'IO', '--reason', 'x'], 4, /no tenant is named nobody/],
  [
    'out of a hold that is closed',
    ['hold', 'order-7', 'vision', '5', 'USDC', '--memo', 'x'],
    6,
    /came with another one/,
  ],
])('a posting %s is refused in one line', async (_what, args, exit, words) => {
  const { code, stderr } = await stack.iocloud('ledger', ...args);
  expect([code, stderr]).toEqual([exit, expect.stringMatching(words)]);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

test('a tenant posts nothing and reads nothing of others', async () => {
  const { code, stderr } = await as(renterKey, 'ledger', 'credit', 'vision', '1000', 'USDC', '--reason', 'for me');
  expect([code, stderr.trim().split('\n')]).toEqual([5, expect.any(Array)]);
  expect((await as(renterKey, 'ledger', 'list', '--all')).code).toBe(5);
  expect((await as(renterKey, 'ledger', 'check')).code).toBe(5);
});
