import type { ClusterId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Ground, newTenantKey, startGround } from '../test-ground.js';
import type { Dispatcher } from './dispatch.js';
import { TestClusters } from './testing/clusters.js';
import { insertQueuedJob, schedulerOf, uncalledHead } from './testing/scheduling.js';

jest.setTimeout(60_000);

let ground: Ground;
let tenantId: TenantId;
let clusters: TestClusters;
let dispatcher: Dispatcher;
beforeAll(async () => {
  ground = await startGround();
  ({ tenantId } = await newTenantKey(ground.database));
  clusters = new TestClusters();
  dispatcher = schedulerOf(ground, clusters);
});
afterAll(() => ground?.stop());

const submit = (cpus: number) => insertQueuedJob(ground.database, tenantId, cpus);
const placeOf = async (id: string): Promise<ClusterId | null> => {
  const { rows } = await ground.database.query<{ phase: string; cluster_id: ClusterId | null }>(
    'SELECT phase, cluster_id FROM jobs WHERE id = $1',
    [id],
  );
  return rows[0]?.phase === 'assigned' ? rows[0].cluster_id : null;
};

test('a job that waits for the room of one cluster is taken by another as soon as that has room', async () => {
  const first = await clusters.add(ground.database, tenantId, 'first', uncalledHead, 2);
  const runs = await submit(2);
  await dispatcher.handle();
  expect(await placeOf(runs)).toBe(first);
  const waits = await submit(2);
  await dispatcher.handle();
  expect(await placeOf(waits)).toBeNull();
  const second = await clusters.add(ground.database, tenantId, 'second', uncalledHead, 2);
  await dispatcher.handle();
  expect(await placeOf(waits)).toBe(second);
  expect(await placeOf(runs)).toBe(first);
});

test('a job goes past a cluster whose own load has filled it', async () => {
  const filled = await clusters.add(ground.database, tenantId, 'filled', uncalledHead, 2);
  clusters.of(filled).view.saturated = true;
  const calm = await clusters.add(ground.database, tenantId, 'calm', uncalledHead, 8);
  const job = await submit(2);
  await dispatcher.handle();
  expect(await placeOf(job)).toBe(calm);
});
