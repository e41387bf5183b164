/** Array jobs from the submission to their one status, on heads without Ray. */
import type { ClusterId, Job, RayJobDetails } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { eventually } from '../testing/eventually.js';
import { FakeHead } from '../testing/fake-head.js';
import { Rig, type Servers, startServers } from '../testing/rig.js';

jest.setTimeout(120_000);

let servers: Servers;
let rig: Rig;
let heads: FakeHead[];
let clusterIds: ClusterId[];
let key: string;

beforeAll(async () => {
  servers = await startServers();
  rig = new Rig(servers, { maxJobsPerCluster: 8, maxArraySize: 10_000 });
  await rig.start();
});
afterAll(async () => {
  for (const head of heads ?? []) head.stop();
  await rig?.stop();
  await servers?.stop();
});
beforeEach(async () => {
  for (const head of heads ?? []) head.stop();
  const tenant = await rig.tenant();
  key = tenant.key;
  heads = [new FakeHead(), new FakeHead()];
  clusterIds = [];
  for (const [place, head] of heads.entries()) {
    clusterIds.push(await rig.clusters.add(rig.database, tenant.id, `c${place}`, await head.start(), 3));
  }
});

const started = () => heads.flatMap(head => [...head.jobs.entries()]);
const running = () => started().filter(([, job]) => job.status === 'RUNNING');
const end = (status: 'SUCCEEDED' | 'FAILED' = 'SUCCEEDED', pick: (index: string) => boolean = () => true) => {
  for (const [, job] of running()) if (pick(job.variables.IOCLOUD_ARRAY_INDEX ?? '')) job.status = status;
};
const so = (what: string, is: () => boolean | Promise<boolean>) =>
  eventually(
    async () => {
      if (!(await is())) throw new Error(`not so: ${what}`);
    },
    { withinMs: 60_000 },
  );
const array = (id: string, metadata: Record<string, string>, more: object = {}) =>
  rig.submit(key, { entrypoint: 'work', submission_id: id, entrypoint_num_cpus: 1, metadata, ...more });
const shown = async (id: string) => (await (await rig.call(key, 'GET', `/v1/jobs/${id}`)).json()) as Job;
const list = async (query: string) =>
  ((await (await rig.call(key, 'GET', `/v1/jobs${query}`)).json()) as { items: Job[] }).items;
/** The log as a follower has had it when the server closed the connection. */
const follow = (id: string) =>
  new Promise<string>((resolve, reject) => {
    const headers = { Authorization: `Bearer ${key}` };
    const socket = new WebSocket(`${rig.address.replace(/^http/, 'ws')}/api/jobs/${id}/logs/tail`, { headers });
    let text = '';
    socket.on('message', (data: Buffer) => {
      text += data.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
const endAll = (id: string) =>
  so(`${id} has ended`, async () => {
    end();
    return ['SUCCEEDED', 'FAILED', 'STOPPED'].includes((await rig.job(key, id)).status);
  });

describe('an array job', () => {
  test('runs each index once, wherever there is room, and succeeds when all have', async () => {
    await array('six', { 'io.array': '6', team: 'a' });
    await so('all run', () => running().length === 6);
    const variables = started().map(([, job]) => job.variables);
    expect(variables.map(each => each.IOCLOUD_ARRAY_INDEX).sort()).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(new Set(variables.map(each => each.IOCLOUD_ARRAY_SIZE))).toEqual(new Set(['6']));
    expect(heads.map(head => head.jobs.size)).toEqual([3, 3]);
    await so('it runs', async () => (await rig.job(key, 'six')).status === 'RUNNING');
    end('SUCCEEDED', index => Number(index) < 2);
    await so(
      'two have succeeded',
      async () => (await rig.job(key, 'six')).message === 'Array of 6: 4 running, 2 succeeded.',
    );
    expect((await shown('six')).array?.counts).toMatchObject({ running: 4, succeeded: 2, waiting: 0 });
    end();
    const ended = await rig.ended(key, 'six');
    expect([ended.status, ended.message]).toEqual(['SUCCEEDED', 'Array of 6: 6 succeeded.']);
    expect(started()).toHaveLength(6);
    expect((await shown('six.3')).metadata).toEqual({ team: 'a' });
  });

  test('stands in lists for its indices, and is nobody’s but its owner’s', async () => {
    await array('mine', { 'io.array': '3' });
    const rayList = (await (await rig.call(key, 'GET', '/api/jobs/')).json()) as RayJobDetails[];
    expect(rayList.map(job => job.submission_id)).toEqual(['mine']);
    expect((await list('')).map(job => job.submissionId)).toEqual(['mine']);
    const indices = await list('?array=mine&limit=2');
    expect(indices.map(job => [job.submissionId, job.arrayIndex])).toEqual([
      ['mine.0', 0],
      ['mine.1', 1],
    ]);
    expect((await list('?array=mine&limit=2&after=1')).map(job => job.submissionId)).toEqual(['mine.2']);
    const stranger = (await rig.tenant()).key;
    for (const [method, path] of [
      ['GET', '/api/jobs/mine'],
      ['GET', '/api/jobs/mine.0'],
      ['GET', '/v1/jobs?array=mine'],
      ['GET', '/api/jobs/mine/logs'],
      ['POST', '/api/jobs/mine/stop'],
      ['DELETE', '/api/jobs/mine'],
    ] as const) {
      expect([method, path, (await rig.call(stranger, method, path)).status]).toEqual([method, path, 404]);
    }
    await endAll('mine');
  });

  test('fails with an index that failed, and its log says which and how to read it', async () => {
    await array('flaky', { 'io.array': '3' });
    await so('all run', () => running().length === 3);
    expect(await rig.logs(key, 'flaky')).toContain('iocloud job logs flaky/0');
    const followed = follow('flaky');
    end('FAILED', index => index === '1');
    end();
    const { status, message } = await rig.ended(key, 'flaky');
    expect([status, message]).toEqual(['FAILED', 'Array of 3: 2 succeeded, 1 failed.']);
    expect(await followed).toBe(await rig.logs(key, 'flaky'));
    expect(await rig.logs(key, 'flaky')).toMatch(/index 1 failed: .*\(iocloud job logs flaky\/1\)/);
  });

  test('runs an index again as its retry policy says, and counts it once', async () => {
    await array('again', { 'io.array': '4', 'io.retry_backoff_seconds': '0' });
    await so('all run', () => running().length === 4);
    const lost = [...(heads[0]?.jobs.keys() ?? [])];
    expect(lost.length).toBeGreaterThan(0);
    heads[0]?.jobs.clear();
    if (clusterIds[0]) rig.clusters.set(clusterIds[0], 'gone');
    await endAll('again');
    expect((await rig.job(key, 'again')).message).toBe('Array of 4: 4 succeeded.');
    const { rows } = await rig.database.query<{ outcome: string; count: number }>(
      `SELECT a.outcome, count(*)::int FROM job_attempts a JOIN jobs j ON j.id = a.job_id
       WHERE j.submission_id LIKE 'again.%' GROUP BY 1 ORDER BY 1`,
    );
    expect(rows).toEqual([
      { outcome: 'lost', count: lost.length },
      { outcome: 'succeeded', count: 4 },
    ]);
  });

  test('has no more indices going than it may, and goes on after everything was killed', async () => {
    await array('few', { 'io.array': '7', 'io.array_max_parallel': '2' });
    const most: number[] = [];
    const going = async () => {
      const { rows } = await rig.database.query<{ count: number }>(
        `SELECT count(*)::int FROM jobs WHERE submission_id LIKE 'few.%' AND NOT held
           AND phase NOT IN ('succeeded', 'failed', 'stopped')`,
      );
      most.push(rows[0]?.count ?? 0);
    };
    await so('two run', () => running().length === 2);
    await rig.stop();
    end();
    await rig.start();
    await so('all have run', async () => {
      await going();
      end();
      return (await rig.job(key, 'few')).status === 'SUCCEEDED';
    });
    expect(Math.max(...most)).toBe(2);
    expect(started()).toHaveLength(7);
  });

  test('that is stopped stops all, and begins none any more; deleted, nothing of it is left', async () => {
    await array('halted', { 'io.array': '40' });
    await so('six run', () => running().length === 6);
    const first = started().map(([, job]) => Number(job.variables.IOCLOUD_ARRAY_INDEX));
    expect(first.sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect((await rig.call(key, 'DELETE', '/api/jobs/halted')).status).toBe(500);
    expect(await (await rig.call(key, 'POST', '/api/jobs/halted/stop')).json()).toEqual({ stopped: true });
    expect((await rig.ended(key, 'halted')).message).toBe('Array of 40: 40 stopped.');
    expect(started()).toHaveLength(6);
    expect(await (await rig.call(key, 'POST', '/api/jobs/halted/stop')).json()).toEqual({ stopped: false });
    expect((await rig.call(key, 'DELETE', '/api/jobs/halted.3')).status).toBe(409);
    expect((await rig.call(key, 'DELETE', '/api/jobs/halted')).status).toBe(200);
    const { rows } = await rig.database.query(`SELECT 1 FROM jobs WHERE submission_id LIKE 'halted%'`);
    expect(rows).toEqual([]);
  });

  test('of ten thousand is on the disk at once, or not at all', async () => {
    const submit = (id: string) =>
      rig.call(key, 'POST', '/api/jobs/', { entrypoint: 'true', submission_id: id, metadata: { 'io.array': '10000' } });
    await rig.submit(key, { entrypoint: 'true', submission_id: 'large.9000' });
    const refused = await submit('large');
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('large.9000')]);
    expect((await rig.call(key, 'GET', '/api/jobs/large')).status).toBe(404);
    expect((await submit('larger')).status).toBe(200);
    const { rows } = await rig.database.query(`SELECT count(*)::int FROM jobs WHERE submission_id LIKE 'larger.%'`);
    expect(rows).toEqual([{ count: 10_000 }]);
    await rig.call(key, 'POST', '/api/jobs/larger/stop');
    expect((await rig.ended(key, 'larger')).status).toBe('STOPPED');
  });

  test('is refused with the reason where it says nothing that could be', async () => {
    const refusals: [Record<string, string>, string][] = [
      [{ 'io.array': '0' }, 'io.array: expected a whole number from 1'],
      [{ 'io.array': 'many' }, 'io.array: expected a whole number from 1'],
      [{ 'io.array': '10001' }, 'at most 10000 indices'],
      [{ 'io.array_max_parallel': '2' }, 'io.array_max_parallel: stands beside io.array'],
      [{ 'io.array': '3', 'io.array_max_parallel': '0' }, 'io.array_max_parallel: expected'],
    ];
    for (const [metadata, words] of refusals) {
      const answer = await rig.call(key, 'POST', '/api/jobs/', { entrypoint: 'true', metadata });
      expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining(words)]);
    }
    const heavy = { entrypoint: 'x'.repeat(10_000), metadata: { 'io.array': '10000' } };
    expect(await (await rig.call(key, 'POST', '/api/jobs/', heavy)).text()).toContain('indices at most');
    await rig.submit(key, { entrypoint: 'true', submission_id: 'plain', metadata: { 'io.wait_for_machines': 'true' } });
    const changed = await rig.call(key, 'PATCH', '/v1/jobs/plain', { metadata: { 'io.array': '2' } });
    expect(changed.status).not.toBe(200);
  });
});
