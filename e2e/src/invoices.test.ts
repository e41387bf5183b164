/** What a renter pays and a supplier earns, read by the commands of README.md; and events at an address of the renter's. */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let renterKey: string;
let supplierKey: string;
let receiver: Server;
let url: string;
let status = 204;
const received: { headers: IncomingHttpHeaders; body: string }[] = [];

beforeAll(async () => {
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(status).end();
    });
  });
  await new Promise<void>(ready => receiver.listen(0, '127.0.0.1', ready));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2' } });
  const tenant = async (name: string) =>
    JSON.parse(await operator('tenant', 'create', name, '--json')).apiKey.secret as string;
  [renterKey, supplierKey] = [await tenant('vision'), await tenant('acme')];
});
afterAll(async () => {
  receiver?.closeAllConnections();
  receiver?.close();
  await stack?.stop();
});

const operator = (...args: string[]) => stack.said(...args);
const as = (key: string, ...args: string[]) => stack.iocloudAs(key, ...args);

test('a settlement is on the running month of both sides, in every form, with its reasons', async () => {
  await operator('ledger', 'credit', 'vision', '250', 'usdc', '--reason', 'a start');
  await operator('ledger', 'hold', 'order-7', 'vision', '100', 'USDC', '--memo', 'a day');
  const terms = ['--supplier', 'acme', '--cost', '1.234567', '--usd-per-io', '37/20', '--memo', '=hour 1'];
  const settled = await operator('ledger', 'settle', 'order-7', ...terms);
  const transaction = /^transaction +(\d+)/.exec(settled)?.[1] ?? '';
  const shown = (await as(renterKey, 'invoice', 'show')).stdout;
  expect(shown).toMatch(/as it stands now.*total +1\.262344 USDC, of that fees 0\.027777/s);
  expect((await as(supplierKey, 'statement', 'show')).stdout).toMatch(/total +0\.66566486 IO/);
  const month = new Date().toISOString().slice(0, 7);
  expect((await as(renterKey, 'invoice', 'get', month, '--format', 'csv')).stdout).toContain(",1.262344,'=hour 1\r\n");
  expect(JSON.parse((await as(renterKey, 'invoice', 'get', month, '--format', 'json')).stdout)).toMatchObject({
    lines: [{ kind: 'other', total: '1.262344' }],
  });
  const file = join(stack.home, 'invoice.pdf');
  expect((await as(renterKey, 'invoice', 'get', month, '--output', file)).code).toBe(0);
  expect((await readFile(file)).subarray(0, 5).toString()).toBe('%PDF-');
  expect((await as(renterKey, 'invoice', 'get', month, '--output', file)).stderr).toContain('it is there already');
  expect((await as(renterKey, 'invoice', 'why', month, '1')).stdout).toMatch(
    /settlement +=hour 1 +escrow -1\.262344 USDC/,
  );
  expect((await as(supplierKey, 'ledger', 'why', transaction)).stdout).toMatch(/earnings \+0\.66566486 IO/);
  expect(await operator('invoice', 'check')).toContain('each is what was posted');
  expect((await as(renterKey, 'invoice', 'list')).stdout).toContain('iocloud invoice show');
  expect((await as(renterKey, 'invoice', 'check')).code).toBe(5);
  expect((await as(renterKey, 'invoice', 'show', 'nonsense')).code).toBe(4);
});

test('an event comes to the address though the control plane was killed while it did not arrive', async () => {
  const added = await as(renterKey, 'webhook', 'add', url, '--events', 'account.LedgerCredited', '--json');
  const { id, secret } = JSON.parse(added.stdout);
  expect((await as(renterKey, 'webhook', 'test', id)).stdout).toMatch(/webhook\.test +delivered +1 +answered 204/);
  status = 500;
  await operator('ledger', 'credit', 'vision', '1', 'usdc', '--reason', 'more');
  await until('first attempt', 30_000, async () => received.length >= 2);
  await stack.kill9('control plane');
  status = 204;
  const sent = async () => (await as(renterKey, 'webhook', 'deliveries', id)).stdout;
  await until('delivered', 120_000, async () => /account\.LedgerCredited +delivered/.test(await sent()));
  const last = received.at(-1);
  const { 'webhook-id': message, 'webhook-timestamp': at, 'webhook-signature': signature } = last?.headers ?? {};
  expect(message).toBe(received[1]?.headers['webhook-id']);
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  expect(signature).toBe(`v1,${createHmac('sha256', key).update(`${message}.${at}.${last?.body}`).digest('base64')}`);
  expect(JSON.parse(last?.body ?? '')).toMatchObject({ type: 'account.LedgerCredited' });
  expect(stack.logs()).not.toContain(secret);
  expect((await as(renterKey, 'webhook', 'remove', id)).stdout).toContain('is removed');
  expect((await as(renterKey, 'webhook', 'list')).stdout).toContain('there are none');
  expect((await as(renterKey, 'webhook', 'add', 'http://10.0.0.1/', '--events', '*')).stderr).toMatch(
    /^iocloud: body\.url: the address is not one of the Internet.*\n$/,
  );
});
