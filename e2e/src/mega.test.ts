/** A Mega-Ray cluster of two cells on real Ray, and an array job over both, one of which is killed meanwhile. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Job, MegaCluster } from '@iocloud/contracts';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { processesNaming, Stack, until } from './harness/index.js';

jest.setTimeout(900_000);

let stack: Stack;
let twin: MegaCluster;
let stranger: string;
let at: string;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '4' } });
  const create = ['mega-cluster', 'create', '--name', 'twin', '--cells', '2', '--head-cpus', '1', '--wait'];
  twin = await stack.read<MegaCluster>(...create);
  at = `${stack.address}${twin.jobsPath}`;
  stranger = (await stack.call('POST', '/v1/tenants', { name: 'mallory' })).body.apiKey.secret;
});
afterAll(() => stack?.stop());

/** The env file names the control plane's own address, which the client would prefer to `--address`. */
const rayAt = (command: string, ...args: string[]) =>
  stack.run('ray', ['job', command, '--address', at, ...args], {
    env: { RAY_ADDRESS: at, RAY_API_SERVER_ADDRESS: at },
  });
const asStranger = () => ({ authorization: `Bearer ${stranger}` });
const indices = () => stack.read<Job[]>('job', 'list', '--array', 'six');
const lines = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);

test('an array job over both cells outlives the kill -9 of one: each index succeeds once, and so does the array', async () => {
  expect(twin).toMatchObject({ phase: 'ready', readyCells: 2 });
  const [begun, go, done] = ['begun', 'go', 'done'].map(name => `${stack.shared}/${name}`) as [string, string, string];
  const work = `echo $IOCLOUD_ARRAY_INDEX/$IOCLOUD_ARRAY_SIZE >> ${begun}; while [ ! -e ${go} ]; do sleep 0.2; done; echo $IOCLOUD_ARRAY_INDEX >> ${done}; echo index $IOCLOUD_ARRAY_INDEX is done`;
  const metadata = JSON.stringify({ 'io.array': '6', 'io.retry_backoff_seconds': '0' });
  const begins = (count: number) =>
    until(`${count} attempts have begun`, 240_000, () => lines(begun).length === count).catch(async error => {
      throw new Error(`${error.message}\n${JSON.stringify(await indices(), null, 1)}\n${stack.logs()}`);
    });
  const terms = ['--submission-id', 'six', '--entrypoint-num-cpus', '0.125', '--metadata-json', metadata];
  const submitted = await rayAt('submit', '--no-wait', ...terms, '--', 'sh', '-c', work);
  expect([submitted.code, submitted.stderr]).toEqual([0, expect.any(String)]);
  await begins(6);
  expect([...lines(begun)].sort()).toEqual(['0/6', '1/6', '2/6', '3/6', '4/6', '5/6']);
  const places = (await indices()).map(({ clusterId }) => clusterId);
  expect(twin.cells.map(({ clusterId }) => places.filter(place => place === clusterId).length)).toEqual([3, 3]);

  const [killed] = processesNaming(stack.home).filter(({ command }) => /\/gcs_server /.test(command));
  if (!killed) throw new Error('no Ray head runs');
  process.kill(killed.pid, 'SIGKILL');
  // There is room for them on the other cell.
  await begins(9);
  writeFileSync(go, '');
  const ended = await stack.ended('six', 240_000);
  expect([ended.status, ended.message]).toEqual(['SUCCEEDED', 'Array of 6: 6 succeeded.']);
  expect([...lines(done)].sort()).toEqual(['0', '1', '2', '3', '4', '5']);
  const outcomes = (await indices()).flatMap(({ attempts }) => attempts.map(({ outcome }) => outcome)).sort();
  expect(outcomes).toEqual(['lost', 'lost', 'lost', ...Array(6).fill('succeeded')]);
  expect(await stack.said('job', 'logs', 'six/4')).toContain('index 4 is done');
  expect((await rayAt('logs', 'six')).stdout).toContain('iocloud job logs six/0');
});

test('the killed cell is back, without anybody’s doing', async () => {
  const mega = await until('both cells are ready', 240_000, async () => {
    const { body } = await stack.call('GET', '/v1/mega-clusters/twin');
    return body.readyCells === 2 && body.phase === 'ready' ? (body as MegaCluster) : null;
  });
  expect(mega.cells.map(({ name }) => name)).toEqual(['twin-0', 'twin-1']);
});

describe('its address', () => {
  test('has its own jobs alone, of its own tenant alone', async () => {
    await stack.ended(await stack.submit('true', { submission_id: 'beside', entrypoint_num_cpus: 0.25 }));
    const listed = (await (await fetch(`${at}/api/jobs/`, own())).json()) as { submission_id: string }[];
    expect(listed.map(job => job.submission_id)).toEqual(['six']);
    expect((await fetch(`${at}/api/jobs/beside`, own())).status).toBe(404);
    expect((await fetch(`${at}/api/jobs/six.3`, own())).status).toBe(200);
    for (const path of ['/api/version', '/api/jobs/', '/api/jobs/six', '/api/jobs/six/logs']) {
      expect([path, (await fetch(`${at}${path}`, { headers: asStranger() })).status]).toEqual([path, 404]);
    }
    const foreign = { entrypoint: 'true', metadata: { 'io.cluster': 'elsewhere' } };
    const refused = await fetch(`${at}/api/jobs/`, { ...own(), method: 'POST', body: JSON.stringify(foreign) });
    expect([refused.status, await refused.text()]).toEqual([
      400,
      expect.stringContaining('this is the address of twin'),
    ]);
  });

  const own = () => ({ headers: { authorization: `Bearer ${stack.apiKey}` } });
});

test('its index leads a browser to the dashboard of each cell, and nobody else', async () => {
  const { body } = await stack.call('POST', '/v1/mega-clusters/twin/dashboard-link');
  const login = await fetch(body.url, { redirect: 'manual' });
  const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
  const page = await fetch(`${stack.address}${login.headers.get('location')}`, { headers: { cookie } });
  const text = await page.text();
  const links = [...text.matchAll(/href="(\/clusters\/cl_[^"]+\/dashboard\/)"/g)].map(match => match[1]);
  expect(links).toHaveLength(2);
  for (const link of links) {
    const dashboard = await fetch(`${stack.address}${link}api/version`, { headers: { cookie } });
    expect(await dashboard.json()).toHaveProperty('ray_version');
  }
  expect((await fetch(`${stack.address}${twin.indexPath}`)).status).toBe(401);
  expect((await fetch(`${stack.address}${twin.indexPath}`, { headers: asStranger() })).status).toBe(404);
});

test('deleted, it leaves no Ray process behind', async () => {
  await stack.said('mega-cluster', 'delete', 'twin', '--yes', '--wait');
  await until(
    'no head runs',
    60_000,
    () => !processesNaming(stack.home).some(({ command }) => /gcs_server/.test(command)),
  );
});
