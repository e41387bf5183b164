/** Jobs of a tenant whose money is missing do not stand in the way of those who can pay. */
import type { JobId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Ground, newTenantKey, startGround } from '../test-ground.js';
import { TestClusters } from './testing/clusters.js';
import { insertQueuedJob, schedulerOf } from './testing/scheduling.js';

let ground: Ground;
beforeAll(async () => {
  ground = await startGround();
});
afterAll(() => ground?.stop());

test('what cannot be paid says so and is tried again later; what comes behind it gets its place', async () => {
  const { database } = ground;
  const clusters = new TestClusters();
  const [poor, rich] = [(await newTenantKey(database)).tenantId, (await newTenantKey(database)).tenantId];
  const tried: TenantId[] = [];
  clusters.onProvision = async (tx, tenantId) => {
    tried.push(tenantId);
    if (tenantId === poor) return { refused: 'it is not covered', ever: true, isUnpaid: true };
    return { clusterId: await clusters.add(tx, tenantId, 'paid', null) };
  };
  const waiting: JobId[] = [];
  for (let count = 0; count < 20; count += 1) waiting.push(await insertQueuedJob(database, poor, 1));
  await insertQueuedJob(database, rich, 1);
  const scheduler = schedulerOf(ground, clusters);
  const states = async () =>
    (
      await database.query<{ message: string; later: boolean }>(
        'SELECT DISTINCT message, not_before > now() AS later FROM jobs WHERE id = ANY ($1)',
        [waiting],
      )
    ).rows;
  let runs = 0;
  while ((await states()).some(({ later }) => !later)) {
    await scheduler.handle();
    runs += 1;
    // Once in a run, however many of its jobs wait.
    expect(tried.filter(tenantId => tenantId === poor).length).toBeLessThanOrEqual(runs);
    if (runs === 2) expect(tried).toContain(rich);
    if (runs > waiting.length) throw new Error('the queue comes to no end');
  }
  scheduler.stop();
  expect(tried.filter(tenantId => tenantId === rich)).toHaveLength(1);
  expect(await states()).toEqual([{ message: 'Waiting to be paid for: it is not covered', later: true }]);
});
