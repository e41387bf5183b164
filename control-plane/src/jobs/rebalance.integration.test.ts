import { randomBytes } from 'node:crypto';
import { type ClusterId, newId, scheduling, type TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { queueTermsOf } from '../accounts/index.js';
import { type Ground, newTenantKey, startGround } from '../test-ground.js';
import { Dispatcher } from './dispatch.js';
import { TestClusters, testRayVersion } from './testing/clusters.js';

jest.setTimeout(60_000);

let ground: Ground;
let tenantId: TenantId;
let clusters: TestClusters;
let dispatcher: Dispatcher;
beforeAll(async () => {
  ground = await startGround();
  ({ tenantId } = await newTenantKey(ground.database));
  clusters = new TestClusters();
  dispatcher = new Dispatcher({
    database: ground.database,
    clusters,
    log: ground.log,
    random: randomBytes,
    queueTermsOf,
    config: { maxJobsPerCluster: 32, rayVersion: testRayVersion },
    now: Date.now,
  });
});
afterAll(() => ground?.stop());

/** A head that nobody calls: no attempt is followed here. */
const head = { host: '127.0.0.1', port: 9, token: '', agent: undefined, jobLog: undefined } as never;
const submit = async (cpus: number): Promise<string> => {
  const id = newId('job', randomBytes);
  const needs = { cpus, gpus: 0, memoryBytes: 0, resources: {}, labelSelector: {} };
  await ground.database.query(
    `INSERT INTO jobs (id, tenant_id, submission_id, submission, needs, scheduling, phase, message, max_attempts, ray_view,
       submitted_at, queue_at)
     VALUES ($1, $2, $1, '{}', $3, $4, 'queued', '', 3, '{}', now(), now())`,
    [id, tenantId, JSON.stringify(needs), JSON.stringify(scheduling.parse({}))],
  );
  return id;
};
const placeOf = async (id: string): Promise<ClusterId | null> => {
  const { rows } = await ground.database.query<{ phase: string; cluster_id: ClusterId | null }>(
    'SELECT phase, cluster_id FROM jobs WHERE id = $1',
    [id],
  );
  return rows[0]?.phase === 'assigned' ? rows[0].cluster_id : null;
};

test('a job that waits for the room of one cluster is taken by another as soon as that has room', async () => {
  const first = await clusters.add(ground.database, tenantId, 'first', head, 2);
  const runs = await submit(2);
  await dispatcher.handle();
  expect(await placeOf(runs)).toBe(first);
  const waits = await submit(2);
  await dispatcher.handle();
  expect(await placeOf(waits)).toBeNull();
  const second = await clusters.add(ground.database, tenantId, 'second', head, 2);
  await dispatcher.handle();
  expect(await placeOf(waits)).toBe(second);
  expect(await placeOf(runs)).toBe(first);
});

test('a job goes past a cluster whose own load has filled it', async () => {
  const filled = await clusters.add(ground.database, tenantId, 'filled', head, 2);
  clusters.of(filled).view.saturated = true;
  const calm = await clusters.add(ground.database, tenantId, 'calm', head, 8);
  const job = await submit(2);
  await dispatcher.handle();
  expect(await placeOf(job)).toBe(calm);
});
