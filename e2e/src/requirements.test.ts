/** A job states what it needs, and goes to the machine that has it; what no machine has is refused with the reasons. */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Machine, Stack, until } from './harness/index.js';

jest.setTimeout(240_000);

const GiB = 2 ** 30;
const h100 = { vendor: 'nvidia' as const, model: 'NVIDIA H100 80GB HBM3', memoryBytes: 80 * GiB, count: 2 };
const a100 = { vendor: 'nvidia' as const, model: 'NVIDIA A100-SXM4-80GB', memoryBytes: 80 * GiB, count: 2 };

let stack: Stack;
let berlin: Machine;
let paris: Machine;
let rome: Machine;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1' } });
  berlin = await stack.machine('berlin', { simulatedDevices: [h100] });
  paris = await stack.machine('paris', { simulatedDevices: [h100, a100] });
  rome = await stack.machine('rome', { simulatedDevices: [{ ...h100, model: 'NVIDIA L4', memoryBytes: 24 * GiB }] });
  await iocloud('node', 'set', 'berlin', '--country', 'DE', '--compliance', 'soc2,gdpr', '--gpu-price', '2.50');
  await iocloud('node', 'set', 'paris', '--country', 'FR', '--region', 'eu-west', '--gpu-price', '2.10');
});
afterAll(() => stack?.stop());

async function iocloud(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await stack.iocloud(...args);
  if (code !== 0) throw new Error(`iocloud ${args.join(' ')} exited with ${code}: ${stderr}`);
  return stdout;
}

const explain = async (metadata: Record<string, string>) =>
  (await stack.call('POST', '/v1/explain/job', { entrypoint: 'true', metadata })).body;

test('a dry run and the job agree on the machine and its price', async () => {
  const wishes: [Record<string, string>, Machine, number][] = [
    [{ 'io.accelerator': 'H100', 'io.prefer': 'price=10' }, paris, 2_100_000],
    [{ 'io.accelerator': 'H100', 'io.compliance': 'soc2' }, berlin, 2_500_000],
    [{ 'io.accelerator': 'A100', 'io.accelerator_count': '2' }, paris, 4_200_000],
  ];
  for (const [metadata, machine, price] of wishes) {
    const dryRun = await explain(metadata);
    expect(dryRun).toMatchObject({ outcome: 'now', microUsdPerHour: price });
    expect(dryRun.candidates[0]).toMatchObject({ nodeId: machine.id, name: machine.name });
    const id = await stack.submit('python -c "import ray; ray.init(); print(ray.cluster_resources())"', { metadata });
    expect(await stack.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
    const { clusterId } = (await stack.call('GET', `/v1/jobs/${id}`)).body;
    const { leases } = (await stack.call('GET', `/v1/clusters/${clusterId}`)).body;
    expect(leases[0].nodeId).toBe(machine.id);
    // The next job that requires the same finds it warm.
    expect(await explain(metadata)).toMatchObject({ outcome: 'now', warmCluster: expect.stringMatching(/^job-/) });
  }
});

test('a selector on Ray’s own labels brings up a cluster on the machine that has the accelerator, and Ray meets it', async () => {
  await iocloud('node', 'set', 'rome', '--region', 'eu-south', '--gpu-price', '1.50');
  const selector = { 'ray.io/accelerator-type': 'in(L4, T4)', 'ray.io/availability-region': 'eu-south' };
  const id = await stack.submit('python -c "import ray; ray.init(); print(ray.nodes()[0][\'Labels\'])"', {
    entrypoint_label_selector: selector,
    entrypoint_num_gpus: 1,
  });
  expect(await stack.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
  const { clusterId } = (await stack.call('GET', `/v1/jobs/${id}`)).body;
  expect((await stack.call('GET', `/v1/clusters/${clusterId}`)).body.leases[0].nodeId).toBe(rome.id);
  const labels = (await stack.call('GET', `/api/jobs/${id}/logs`)).body.logs;
  expect(labels).toContain("'ray.io/accelerator-type': 'L4'");
  expect(labels).toContain("'ray.io/availability-region': 'eu-south'");
  const refuse = (text: string) =>
    stack.call('POST', '/api/jobs/', {
      entrypoint: 'true',
      entrypoint_label_selector: { 'ray.io/accelerator-type': text },
    });
  for (const [text, words] of [
    ['B200', 'no machine meets the requirements'],
    ['a100', 'did you mean A100'],
  ] as const) {
    const { status, body } = await refuse(text);
    expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining(words)]);
  }
});

test('a machine shows what its devices were recognised as, and is relied on more after jobs that ended there', async () => {
  const shown = async () => (await stack.call('GET', `/v1/nodes/${rome.id}`)).body;
  const { accelerators } = await shown();
  expect(accelerators[0]).toMatchObject({ index: 0, model: { slug: 'l4', rayType: 'L4', memoryBytes: 24 * GiB } });
  expect(await iocloud('node', 'show', 'rome')).toMatch(/l4 +nvidia +L4 +24 GiB/);
  await until('its job counts', 30_000, async () => (await shown()).reputation > 0.8);
});

test('what no machine has is refused at once, constraint by constraint, with what would help', async () => {
  const metadata = { 'io.accelerator': 'H100', 'io.country': 'DE', 'io.compliance': 'soc2,hipaa' };
  const { status, body } = await stack.call('POST', '/api/jobs/', { entrypoint: 'true', metadata });
  expect(status).toBe(400);
  const text = JSON.stringify(body);
  expect(text).toContain('no machine meets the requirements');
  expect(text).toMatch(/DE/);
  expect(text).toMatch(/hipaa/);
  expect(text).toMatch(/what would help/);
  expect(await explain(metadata)).toMatchObject({ outcome: 'never', candidates: [] });
  const words = await iocloud('job', 'explain', '--set', 'io.accelerator=H100', '--set', 'io.compliance=hipaa');
  expect(words).toContain('no machine will do');

  const typo = await stack.call('POST', '/api/jobs/', { entrypoint: 'true', metadata: { 'io.accelerator': 'H10' } });
  expect([typo.status, JSON.stringify(typo.body)]).toEqual([400, expect.stringContaining('did you mean')]);
});

test('a job that waits for machines starts when one says that it has what is wanted', async () => {
  const metadata = { 'io.country': 'NL', 'io.wait_for_machines': 'true' };
  const id = await stack.submit('true', { metadata });
  const explanation = (await stack.call('GET', `/v1/jobs/${id}/explanation`)).body;
  expect(explanation.outcome).toBe('never');
  await iocloud('node', 'set', 'paris', '--country', 'NL');
  expect(await stack.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
});

test('a cluster stands where its requirements are met, or says why it waits', async () => {
  const dear = await iocloud('cluster', 'explain', '--head-gpus', '1', '--require', 'max_price_per_hour=1');
  expect(dear).toContain('no machine will do');
  await iocloud('cluster', 'create', '--wait', '--name', 'in-berlin', '--head-cpus', '1', '--require', 'country=DE');
  const clusters = (await stack.call('GET', '/v1/clusters')).body.items;
  const made = clusters.find((cluster: { spec: { name: string } }) => cluster.spec.name === 'in-berlin');
  expect(made.leases[0].nodeId).toBe(berlin.id);
  const nowhere = ['cluster', 'create', '--name', 'nowhere', '--head-cpus', '1', '--require', 'country=JP'];
  const refused = await stack.iocloud(...nowhere);
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/0 of \d machines are in JP; what would help/),
  ]);
  await iocloud(...nowhere, '--wait-for-machines');
  expect(await iocloud('cluster', 'show', 'nowhere')).toMatch(/JP/);
  await iocloud('cluster', 'update', 'nowhere', '--require', 'country=NL', '--priority', 'high');
  const phase = async () => (await clusterNamed('nowhere')).phase;
  await until('it finds a machine by its new requirement', 60_000, async () => (await phase()) === 'ready');
});

const clusterNamed = async (name: string) =>
  (await stack.call('GET', '/v1/clusters')).body.items.find(
    (one: { spec: { name: string } }) => one.spec.name === name,
  );

test('a cluster is stopped in order by its end, and its job goes on when it has been given more time and money', async () => {
  await iocloud('node', 'set', 'berlin', '--cpu-price', '0.50');
  const name = 'shift';
  const limits = ['--budget', '1', '--for', '1h'];
  await iocloud(
    'cluster',
    'create',
    '--wait',
    '--name',
    name,
    '--head-cpus',
    '1',
    '--require',
    'country=DE',
    ...limits,
  );
  const id = await stack.submit(
    'python -c "import time; [print(n, flush=True) or time.sleep(1) for n in range(600)]"',
    {
      metadata: { 'io.cluster': name },
    },
  );
  const job = async () => (await stack.call('GET', `/v1/jobs/${id}`)).body;
  await until('the job runs', 60_000, async () => (await job()).phase === 'running');
  await iocloud('cluster', 'update', name, '--until', new Date(Date.now() + 50_000).toISOString());
  await until('the cluster is stopped', 90_000, async () => (await clusterNamed(name)).phase === 'stopped');
  const stopped = await clusterNamed(name);
  expect(stopped.conditions.find((one: { type: string }) => one.type === 'Ending')).toMatchObject({
    reason: 'TimeOver',
  });
  expect(stopped.spentMicroUsd).toBeGreaterThan(0);
  expect(await job()).toMatchObject({ phase: 'queued', attempts: [{ outcome: 'evicted' }] });
  expect(await stack.iocloud('cluster', 'start', name)).toMatchObject({ code: 6 });

  await iocloud('cluster', 'update', name, '--until', 'none', '--budget', '2');
  await iocloud('cluster', 'start', '--wait', name);
  await until('the job runs again', 60_000, async () => (await job()).phase === 'running');
  expect((await clusterNamed(name)).spentMicroUsd).toBeGreaterThanOrEqual(stopped.spentMicroUsd);
  await stack.call('POST', `/api/jobs/${id}/stop`);
});
