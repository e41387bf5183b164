/** Who runs the control plane gives a team its share and quota; the team sees them, and what it holds of them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let teamKey: string;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2' } });
  teamKey = JSON.parse(await operator('tenant', 'create', 'team', '--json')).apiKey.secret;
});
afterAll(() => stack?.stop());

const operator = (...args: string[]) => stack.said(...args);
const team = (...args: string[]) => stack.iocloudAs(teamKey, ...args);

test('the first key may set the terms of a tenant by its name, a piece at a time', async () => {
  expect(await operator('tenant', 'list')).toMatch(/^NAME +AGE +ID\n(.*\n)?team +\S+ +tn_\w{20}\n/s);
  expect(await operator('tenant', 'queue', 'get', 'team')).toMatch(/^weight {2}1\ncohort {2}-\n.*gpus +not limited/s);
  const amounts = ['--quota', 'gpus=8,cpus=64,memory=512GiB', '--borrow', 'gpus=4'];
  await operator('tenant', 'queue', 'set', 'team', '--weight', '2', '--cohort', 'research', ...amounts);
  const shown = await operator('tenant', 'queue', 'set', 'team', '--weight', '3');
  expect(shown).toMatch(/^weight {2}3\ncohort {2}research\n.*gpus +8 +4\ncpus +64 +what others leave\n/s);
  expect(shown).toContain('512 GiB');
  const { stdout, code } = await team('queue', '--json');
  expect([code, JSON.parse(stdout).terms]).toEqual([
    0,
    {
      weight: 3,
      quota: { gpus: 8, cpus: 64, memoryBytes: 512 * 2 ** 30 },
      cohort: 'research',
      borrowingLimit: { gpus: 4 },
    },
  ]);
  expect((await team('events')).stdout).toContain('set the queue terms of team: weight 3');
});

test.each([
  ['of nothing', [], /nothing to change/],
  ['of a resource that is not known', ['--quota', 'tpus=1'], /unknown resource tpus/],
  ['of a limit on loans of nobody', ['--cohort', 'none', '--borrow', 'gpus=1'], /nobody to borrow from/],
  ['of a weight of nothing', ['--weight', '0'], /weight/],
])('a change %s is a usage error of one line', async (_what, args, words) => {
  const { code, stderr } = await stack.iocloud('tenant', 'queue', 'set', 'team', ...args);
  expect([code, stderr]).toEqual([2, expect.stringMatching(words)]);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

test('a tenant that is not there is not found, and a team sets nothing, not even for itself', async () => {
  expect(await stack.iocloud('tenant', 'queue', 'get', 'nobody')).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('no tenant is named nobody'),
  });
  const own = async () => JSON.parse((await team('queue', '--json')).stdout);
  const { tenantId, terms } = await own();
  expect((await team('tenant', 'queue', 'set', tenantId, '--weight', '9')).code).toBe(5);
  expect((await team('tenant', 'list')).code).toBe(5);
  expect((await own()).terms).toEqual(terms);
});

test('what a job holds shows while it runs, and not after', async () => {
  const used = async () => JSON.parse(await operator('queue', '--json'));
  expect(await used()).toMatchObject({ held: { cpus: 0 }, running: 0, waiting: 0 });
  const go = join(stack.shared, 'go');
  const id = await stack.submit(`sh -c 'until [ -e ${go} ]; do sleep 0.2; done'`, { entrypoint_num_cpus: 1 });
  await until('the job holds its CPU', 90_000, async () => ((await used()).running === 1 ? true : null));
  expect(await used()).toMatchObject({ held: { cpus: 1, gpus: 0 }, running: 1, waiting: 0 });
  expect(await operator('queue')).toMatch(/jobs +1 on clusters, 0 in the queue.*cpus +1 +not limited/s);
  expect(JSON.parse((await team('queue', '--json')).stdout)).toMatchObject({ held: { cpus: 0 }, running: 0 });
  await writeFile(go, '');
  await stack.ended(id);
  expect(await used()).toMatchObject({ held: { cpus: 0 }, running: 0, waiting: 0 });
});
