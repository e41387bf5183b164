/** kill -9 of each part of the system while a job runs: the job goes on, its log is whole, its end is right. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Part, processesNaming, Stack, until } from './harness/index.js';

jest.setTimeout(240_000);

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '4' } });
  await stack.ended(await stack.submit('true'));
});
afterAll(() => stack?.stop());

const count = 60;
const counting = `for i in $(seq 1 ${count}); do echo line $i of ${count}; sleep 0.2; done`;
const expected = Array.from({ length: count }, (_, i) => `line ${i + 1} of ${count}`);
const numbered = (text: string) => text.split('\n').filter(line => /^line \d+ of/.test(line));

describe.each<Part>(['control plane', 'agent', 'redis', 'postgres'])('kill -9 of the %s while a job runs', part => {
  test('the job goes on, its log has every line once, its status is right', async () => {
    const id = await stack.submit(counting);
    await until('it prints', 60_000, async () => numbered(await stack.log(id)).length >= 5);
    await stack.kill9(part);
    const job = await stack.ended(id);
    expect(job.status).toBe('SUCCEEDED');
    expect(numbered(await stack.log(id))).toEqual(expected);
    expect((await stack.call('GET', `/v1/jobs/${id}`)).body.attempts).toHaveLength(1);
  });
});

test('`ray job logs --follow` started again after the control plane died shows every line once', async () => {
  const id = await stack.submit(counting);
  const first = spawn('ray', ['job', 'logs', '--follow', id], { env: stack.env });
  let before = '';
  first.stdout.on('data', (chunk: Buffer) => {
    before += chunk.toString();
  });
  await until('the first follower shows lines', 60_000, () => numbered(before).length >= 3);
  await stack.kill9('control plane');
  await until('the first follower has ended', 30_000, () => first.exitCode !== null || first.signalCode !== null);
  const second = await stack.ray('job', 'logs', '--follow', id);
  expect(second.code).toBe(0);
  expect(numbered(second.stdout)).toEqual(expected);
});

test('a head that is killed takes its job to a new head, with the log of both attempts', async () => {
  const marker = `${stack.shared}/attempts`;
  const id = await stack.submit(
    `echo attempt >> ${marker}; if [ $(wc -l < ${marker}) = 1 ]; then sleep 600; fi; echo done`,
  );
  // RUNNING is said before the entrypoint has begun.
  await until('the first attempt runs', 60_000, () => existsSync(marker));
  const gcs = processesNaming(stack.home).filter(({ command }) => command.includes('gcs_server'));
  expect(gcs.length).toBeGreaterThan(0);
  for (const { pid } of gcs) process.kill(pid, 'SIGKILL');
  const job = await stack.ended(id, 120_000);
  expect(job.status).toBe('SUCCEEDED');
  const { attempts } = (await stack.call('GET', `/v1/jobs/${id}`)).body;
  expect(attempts.map((attempt: { outcome: string }) => attempt.outcome)).toEqual(['lost', 'succeeded']);
  expect(await stack.log(id)).toContain('done');
});

describe('kill -9 in the middle of provisioning', () => {
  // Each moment is a state that the outside can see; the parts die at each of them in turn.
  const moments: [string, (id: string) => Promise<boolean>][] = [
    ['just accepted', async () => true],
    ['being provisioned', async id => (await stack.call('GET', `/v1/clusters/${id}`)).body.phase === 'provisioning'],
    [
      'its head starting',
      async () => processesNaming(stack.home).some(({ command }) => command.includes('gcs_server')),
    ],
  ];
  test.each(moments)('%s: one cluster, one head, no orphan', async (name, reached) => {
    for (const cluster of (await stack.call('GET', '/v1/clusters')).body.items) {
      await stack.call('DELETE', `/v1/clusters/${cluster.id}`);
      await stack.clusterIn(cluster.id, 'deleted');
    }
    await until('no Ray process is left', 30_000, () => heads().length === 0);
    const { body } = await stack.call('POST', '/v1/clusters', { name: name.replaceAll(' ', '-'), head: { cpus: 1 } });
    await until(name, 60_000, () => reached(body.id));
    await Promise.all([stack.kill9('control plane'), stack.kill9('agent')]);
    await stack.clusterIn(body.id, 'ready');
    expect(heads().map(({ command }) => command.slice(0, 400))).toHaveLength(1);
    const { items } = (await stack.call('GET', '/v1/clusters')).body;
    expect(items.filter((one: { phase: string }) => one.phase !== 'deleted')).toHaveLength(1);
  });

  const heads = () => processesNaming(stack.home).filter(({ command }) => /\/gcs_server /.test(command));
});
