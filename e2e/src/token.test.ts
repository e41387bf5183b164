/** Token rules from the command line, on a whole system whose control plane is killed on the way. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EmittedHour, IoRate, Node, Proposal, Stake, TokenStatus } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let directory: string;
const hourMs = 3_600_000;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iocloud-token-'));
  const pricing = { ioRate: { sources: [{ kind: 'fixed', name: 'a', usdPerIo: '0.25' }] } };
  const genesis = new Date(Math.floor(Date.now() / hourMs) * hourMs - 3 * hourMs).toISOString();
  const token = { genesis, parameters: { stakePerGpu: '100', proposalStake: '50', votingHours: 24 } };
  const files = { IOCLOUD_PRICING_FILE: pricing, IOCLOUD_TOKEN_FILE: token };
  const env: Record<string, string> = { IOCLOUD_NODE_CPUS: '2', IOCLOUD_SIMULATED_GPUS: '2xH100:80GiB' };
  for (const [key, content] of Object.entries(files)) {
    env[key] = join(directory, `${key}.json`);
    await writeFile(env[key], JSON.stringify(content));
  }
  stack = await Stack.start({ env });
});
afterAll(async () => {
  await stack?.stop();
  await rm(directory, { recursive: true, force: true });
});

const iocloud = <T>(...args: string[]) => stack.read<T>(...args);

test('hours that are over are emitted once, and stake, IOSD and a vote are there after kill -9', async () => {
  const tenant = (await stack.call('GET', '/v1/whoami')).body.tenant.name;
  const [node] = (await stack.call('GET', '/v1/nodes')).body.items as Node[];
  const name = node?.name ?? '';
  await iocloud('ledger', 'credit', tenant, '1000', 'io', '--reason', 'a start');

  const emitted = await until('hours are emitted', 60_000, async () => {
    const hours = await iocloud<EmittedHour[]>('token', 'emission');
    return hours.length >= 2 ? hours : undefined;
  });
  // Nobody has proven anything, so nothing is minted; what the schedule had for them is told all the same.
  expect(emitted.slice(-2)).toMatchObject([
    { hour: 2, scheduled: '4566.14591665', minted: '0.00000000', eligible: 0 },
    { hour: 1, scheduled: '4566.21004566', minted: '0.00000000' },
  ]);

  const staked = await iocloud<Stake>('stake', 'add', name, '150', '--key', 'first');
  expect(staked).toMatchObject({ amount: '150.00000000', minimumStake: '200.00000000' });
  await until('there is a rate', 60_000, async () => (await iocloud<IoRate>('price', 'io')).usable || undefined);
  expect(await iocloud('iosd', 'mint', '10')).toMatchObject({ minted: '2.500000', usdPerIo: '0.25' });
  const proposed = await iocloud<Proposal>(
    ...[
      'proposal',
      'create',
      'shorter',
      '--text',
      'why',
      '--set',
      'cooldownHours=48',
      'multiplierPpm.h100-sxm=2000000',
    ],
  );
  expect(proposed.changes).toEqual({ cooldownHours: 48, multiplierPpm: { 'h100-sxm': 2_000_000 } });
  await iocloud('proposal', 'vote', proposed.id, 'yes');
  await iocloud('stake', 'remove', name, '50');

  await stack.kill9('control plane');
  await until('it is back', 60_000, async () => (await stack.iocloud('token', 'status')).code === 0);
  expect(await iocloud<Stake>('stake', 'add', name, '150', '--key', 'first')).toEqual(staked);
  expect((await stack.iocloud('stake', 'list')).stdout).toMatch(/own +100\.00000000 +100\.00000000 +200\.00000000/);
  expect((await stack.iocloud('stake', 'cooling')).stdout).toMatch(/50\.00000000 +cooling/);
  expect((await stack.iocloud('proposal', 'show', proposed.id)).stdout).toMatch(/you +150\.00000000 IO, voted yes/);
  expect(await iocloud<TokenStatus>('token', 'status')).toMatchObject({
    minted: '0.00000000',
    burned: '10.00000000',
    iosd: '2.500000',
    parameters: { version: 1, parameters: { stakePerGpu: '100' } },
  });
  expect((await stack.iocloud('balance')).stdout).toMatch(/unstaking +IO +50\.00000000/);
  expect((await stack.iocloud('ledger', 'check')).code).toBe(0);
  expect(await stack.iocloud('stake', 'add', name, '0')).toMatchObject({ code: 2 });
});
