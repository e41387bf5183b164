/** What a real cluster uses, counted by a real agent, on a whole system whose control plane is killed on the way. */
import type { UsageLine, UsageSum } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2', IOCLOUD_SIMULATED_GPUS: '2xH100:80GiB' } });
});
afterAll(() => stack?.stop());

const iocloud = <T>(...args: string[]) => stack.read<T>(...args);

test('a cluster is billed for what its machine counted, once, as soon as it has ended', async () => {
  const cluster = await stack.cluster('metered', { head: { cpus: 1, gpus: 2 } });
  const leaseId = cluster.leases[0]?.id ?? '';
  const counter = async (name: string) => {
    const { body: text } = await stack.call('GET', '/v1/metrics/leases');
    return Number(new RegExp(`^iocloud_lease_${name}\\{[^}]*${leaseId}[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1]);
  };
  const cpuSeconds = await until('the agent has counted', 60_000, async () => {
    const counted = await counter('cpu_seconds_total');
    return counted > 0 ? counted : undefined;
  });
  await stack.kill9('control plane');
  const before = await until('the counters are back', 30_000, async () => {
    const seconds = await counter('available_seconds_total').catch(() => Number.NaN);
    return seconds > 0 ? seconds : undefined;
  });

  await stack.call('DELETE', `/v1/clusters/${cluster.id}`);
  const lines = await until('there are lines', 60_000, async () => {
    const found = await iocloud<UsageLine[]>('usage', 'lines', '--cluster', cluster.id);
    return found.length > 0 ? found : undefined;
  });
  const sum = (kind: 'billableMs' | 'allocatedMs' | 'deviceBillableMs' | 'cpuMs' | 'mibSeconds') =>
    lines.reduce((total, line) => total + line[kind], 0);
  // What the machine told last may have come since, and corrected it.
  expect(new Set(lines.map(({ windowStart, revision }) => `${windowStart} ${revision}`)).size).toBe(lines.length);
  expect(lines[0]).toMatchObject({ leaseId, revision: 0 });
  expect(sum('billableMs')).toBeGreaterThanOrEqual(Math.floor(before * 1_000));
  expect(sum('billableMs')).toBeLessThan(sum('allocatedMs'));
  expect(sum('deviceBillableMs')).toBe(2 * sum('billableMs'));
  expect(sum('cpuMs')).toBeGreaterThanOrEqual(Math.floor(cpuSeconds * 1_000));
  expect(sum('mibSeconds')).toBeGreaterThan(0);

  const [of] = await iocloud<UsageSum[]>('usage', '--by', 'cluster');
  expect(of).toMatchObject({ key: cluster.id, name: 'metered', billableMs: sum('billableMs') });
  expect((await stack.iocloud('usage', '--by', 'day')).stdout).toMatch(/^DAY +HOURS +GPU-HOURS/);
  expect((await stack.iocloud('usage', '--from', 'yesterday')).stderr).toMatch(/"yesterday" is no time/);
});
