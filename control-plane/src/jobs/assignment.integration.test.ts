import type { JobId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Ground, newTenantKey, startGround } from '../test-ground.js';
import { TestClusters } from './testing/clusters.js';
import { insertQueuedJob, schedulerOf, uncalledHead } from './testing/scheduling.js';

jest.setTimeout(60_000);

let ground: Ground;
let tenantId: TenantId;
beforeAll(async () => {
  ground = await startGround();
  ({ tenantId } = await newTenantKey(ground.database));
});
afterAll(() => ground?.stop());

const queuedJob = async (submissionId: string, attemptsMade: number): Promise<JobId> => {
  const id = await insertQueuedJob(ground.database, tenantId, 1);
  await ground.database.query('UPDATE jobs SET submission_id = $2, attempt_count = $3 WHERE id = $1', [
    id,
    submissionId,
    attemptsMade,
  ]);
  return id;
};
const attemptsOf = async (ids: JobId[]) => {
  const { rows } = await ground.database.query<{ job_id: JobId; number: number; ray_submission_id: string }>(
    'SELECT job_id, number, ray_submission_id FROM job_attempts WHERE job_id = ANY($1)',
    [ids],
  );
  return new Map(rows.map(row => [row.job_id, row]));
};

test('jobs that get their places in one run and would have the same id on the head get different ones', async () => {
  const clusters = new TestClusters();
  await clusters.add(ground.database, tenantId, 'wide', uncalledHead, 8);
  const again = await queuedJob('train', 1);
  const namesake = await queuedJob('train.2', 0);
  const other = await queuedJob('other', 0);
  await schedulerOf(ground, clusters).handle();
  const attempts = await attemptsOf([again, namesake, other]);
  const ids = [again, namesake].map(id => attempts.get(id)?.ray_submission_id ?? '');
  expect(new Set(ids).size).toBe(2);
  expect(ids).toContain('train.2');
  for (const id of ids) expect(id).toMatch(/^train\.2(-[0-9a-f]{8})?$/);
  expect(attempts.get(other)?.ray_submission_id).toBe('other');
  expect([again, namesake].map(id => attempts.get(id)?.number)).toEqual([2, 1]);
});

test('a job whose cluster begins to end while it is decided waits on, and is decided anew', async () => {
  const clusters = new TestClusters();
  const [ends, stays] = [
    await clusters.add(ground.database, tenantId, 'ends', uncalledHead, 1),
    await clusters.add(ground.database, tenantId, 'stays', uncalledHead, 1),
  ];
  const hold = clusters.hold.bind(clusters);
  clusters.hold = async (tx, ids) => (await hold(tx, ids)).filter(({ id }) => id !== ends);
  const jobs = [await queuedJob('one', 0), await queuedJob('two', 0)];
  await ground.database.query('DELETE FROM outbox');
  await schedulerOf(ground, clusters).handle();
  const { rows } = await ground.database.query('SELECT phase, cluster_id FROM jobs WHERE id = ANY($1) ORDER BY phase', [
    jobs,
  ]);
  expect(rows).toEqual([
    { phase: 'assigned', cluster_id: stays },
    { phase: 'queued', cluster_id: null },
  ]);
  expect((await attemptsOf(jobs)).size).toBe(1);
  const woken = await ground.database.query(`SELECT key FROM outbox WHERE topic = 'dispatch'`);
  expect(woken.rows).toEqual([{ key: 'all' }]);
});
