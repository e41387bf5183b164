/** Market prices from the command line, on a whole system whose control plane is killed on the way. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IoRate, Node, PriceVersion, Quote } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iocloud-prices-'));
  const file = join(directory, 'pricing.json');
  const sources = ['a', 'b'].map(name => ({ kind: 'fixed', name, usdPerIo: '0.25' }));
  const terms = { baseMicroUsdPerHour: { 'h100-sxm': 2_200_000 }, ioRate: { sources, minSources: 2 } };
  await writeFile(file, JSON.stringify(terms));
  stack = await Stack.start({
    env: { IOCLOUD_NODE_CPUS: '2', IOCLOUD_SIMULATED_GPUS: '2xH100:80GiB', IOCLOUD_PRICING_FILE: file },
  });
});
afterAll(async () => {
  await stack?.stop();
  await rm(directory, { recursive: true, force: true });
});

const iocloud = <T>(...args: string[]) => stack.read<T>(...args);

test('a machine takes the price of the hour, and list, quote and cluster agree on it, kill -9 or not', async () => {
  const listed = await until('there is a price', 60_000, async () => {
    const prices = await iocloud<PriceVersion[]>('price', 'list');
    return prices.find(({ model }) => model === 'h100-sxm');
  });
  expect(listed).toMatchObject({ baseMicroUsd: 2_200_000 });
  await stack.kill9('control plane');

  const [node] = (await stack.call('GET', '/v1/nodes')).body.items as Node[];
  await iocloud('node', 'set', node?.name ?? '', '--pricing', 'market', '--connectivity', 'medium');
  const { microUsdPerGpuHour } = (await stack.call('GET', `/v1/nodes/${node?.id}`)).body;
  const history = await iocloud<PriceVersion[]>('price', 'history', 'h100-sxm');
  expect(history.map(version => version.microUsdPerGpuHour)).toContain(microUsdPerGpuHour);
  expect(history.at(-1)).toEqual(listed);

  const cluster = await stack.cluster('market', { head: { cpus: 1, gpus: 2 } });
  expect(cluster.microUsdPerHour).toBe(2 * microUsdPerGpuHour);

  await until('there is a rate', 60_000, async () => (await iocloud<IoRate>('price', 'io')).usable || undefined);
  const quoted = await iocloud<Quote>('quote', '--gpus', '2', '--hours', '3', '--require', 'accelerator=H100');
  expect(quoted).toMatchObject({ microUsdPerHour: 2 * quoted.marketMicroUsd, io: { usdPerIo: '0.25' } });
  expect(quoted.io?.units).toBe(String(quoted.totalMicroUsd * 400));
  const words = (await stack.iocloud('quote', quoted.id)).stdout;
  expect(words).toContain(`for 2 × h100-sxm, 3 h`);
});
