/** No healthy job is ever started again because its head answers late, wrongly or not at all. */
import type { ClusterId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { eventually } from './testing/eventually.js';
import { FakeHead } from './testing/fake-head.js';
import { Rig, type Servers, startServers } from './testing/rig.js';

jest.setTimeout(300_000);

const jobs = 250;
/** Each is asked no more than 40 questions a second, however many jobs it has. */
const clusterCount = 10;
const wantedFaults = 10_000;

let servers: Servers;
let rig: Rig;
const head = new FakeHead();
let served: Awaited<ReturnType<FakeHead['start']>>;
beforeAll(async () => {
  servers = await startServers();
  rig = new Rig(servers, { maxJobsPerCluster: 1_000 });
  await rig.start();
  served = await head.start();
});
afterAll(async () => {
  head.stop();
  await rig?.stop();
  await servers?.stop();
});

test(`${wantedFaults} lost, late and wrong answers and a hundred partitions: no job starts twice`, async () => {
  const tenant = await rig.tenant();
  const clusters: ClusterId[] = [];
  for (let i = 0; i < clusterCount; i += 1) {
    clusters.push(await rig.clusters.add(rig.database, tenant.id, `warm-${i}`, served, jobs / clusterCount));
  }
  head.troublePercent = 60;
  const ids = Array.from({ length: jobs }, (_, i) => `probe-${i}`);
  for (const id of ids) await rig.submit(tenant.key, { entrypoint: 'true', submission_id: id, entrypoint_num_cpus: 1 });
  let partitions = 0;
  const cut = new Set<ClusterId>();
  const partition = setInterval(() => {
    const cluster = clusters[partitions % clusterCount];
    if (cluster) rig.clusters.set(cluster, cut.has(cluster) ? 'ready' : 'unreachable');
    if (cluster && !cut.delete(cluster)) cut.add(cluster);
    partitions += 1;
  }, 100);
  await eventually(
    async () => {
      const started = head.jobs.size;
      if (started < jobs || head.injected < wantedFaults || partitions < 200) {
        throw new Error(`${started} started, ${head.injected} faults, ${partitions} changes`);
      }
    },
    { withinMs: 240_000 },
  );
  clearInterval(partition);
  for (const cluster of clusters) rig.clusters.set(cluster, 'ready');
  head.finishAll();
  head.release();
  for (const id of ids) expect((await rig.ended(tenant.key, id)).status).toBe('SUCCEEDED');
  expect(head.taken).toHaveLength(jobs);
  const { rows } = await rig.database.query(
    'SELECT count(*)::int AS attempts, max(number) AS most FROM job_attempts a JOIN jobs j ON j.id = a.job_id WHERE j.tenant_id = $1',
    [tenant.id],
  );
  expect(rows).toEqual([{ attempts: jobs, most: 1 }]);
  process.stdout.write(
    `${head.injected} faults injected, ${partitions / 2} partitions: ${jobs} jobs, each started once\n`,
  );
});

test('a result that comes after its attempt was given up changes nothing', async () => {
  const tenant = await rig.tenant();
  head.troublePercent = 0;
  const other = new FakeHead();
  const first = await rig.clusters.add(rig.database, tenant.id, 'first', await other.start());
  const id = await rig.submit(tenant.key, { entrypoint: 'true', submission_id: 'late' });
  await eventually(async () => {
    if ((await rig.job(tenant.key, id)).status !== 'RUNNING') throw new Error('not yet');
  });
  // Its machine is lost, and then comes back with a job that says it succeeded.
  rig.clusters.set(first, 'lost');
  await eventually(async () => {
    const job = await rig.job(tenant.key, id);
    if (job.status !== 'PENDING') throw new Error(job.status);
  });
  other.finishAll();
  await rig.clusters.add(rig.database, tenant.id, 'second', served);
  await eventually(async () => {
    if (!head.jobs.has('late.2')) throw new Error('the second attempt has not begun');
  });
  expect((await rig.job(tenant.key, id)).status).not.toBe('SUCCEEDED');
  head.finishAll();
  expect((await rig.ended(tenant.key, id)).status).toBe('SUCCEEDED');
  const { rows } = await rig.database.query(
    'SELECT outcome FROM job_attempts a JOIN jobs j ON j.id = a.job_id WHERE j.tenant_id = $1 ORDER BY number',
    [tenant.id],
  );
  expect(rows.map(row => row.outcome)).toEqual(['lost', 'succeeded']);
  other.stop();
});
