import type { ClusterId } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import * as inventoryStore from '../inventory/store.js';
import { LoadWatch } from './load-watch.js';
import type { ResourceState } from './ray-state/index.js';
import { Trial } from './testing/index.js';

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
afterAll(() => trial.stop());

/** One ready cluster, a clock that the test moves, and a Ray that answers as the test says. */
let nowMs: number;
let asked: ClusterId[];
let answer: () => Promise<ResourceState>;
let watch: LoadWatch;
let id: ClusterId;
const nothing: ResourceState = { nodes: [], waiting: [], gangs: [], requested: [] };

beforeEach(async () => {
  await trial.database.query(`UPDATE clusters SET desired = 'deleted', phase = 'deleted'`);
  const { tenantId } = await trial.tenant();
  const agent = await trial.machine(tenantId);
  id = await trial.create(tenantId, { name: 'watched' });
  await agent.obey();
  nowMs = Date.now();
  asked = [];
  answer = async () => nothing;
  watch = new LoadWatch({
    database: trial.database,
    machines: { changeDesired: inventoryStore.changeDesired },
    log: trial.ground.log,
    now: () => new Date(nowMs),
    random: n => new Uint8Array(n),
    told: () => undefined,
    drain: async () => ({ accepted: false, reason: '' }),
    state: clusterId => {
      asked.push(clusterId);
      return answer();
    },
  });
});

/** What is begun in a tick, to its end. */
const tick = async (laterMs = 0) => {
  nowMs += laterMs;
  await watch.tick();
  await watch.settled();
};

test('a ready cluster is asked once in its interval, and no more once it is not ready', async () => {
  await tick();
  await tick(4_000);
  expect(asked).toEqual([id]);
  await tick(1_500);
  expect(asked).toEqual([id, id]);
  await trial.wish(id, { desired: 'stopped' });
  await tick(60_000);
  expect(asked).toHaveLength(2);
});

test('an autoscaled one is asked more often', async () => {
  const workerGroups = [{ name: 'w', cpus: 1, gpus: 0, count: 0, maxCount: 2, resources: {}, labels: {} }];
  await trial.wish(id, { spec: { workerGroups } });
  await tick();
  await tick(2_100);
  expect(asked).toEqual([id, id]);
});

test('a head that does not answer is asked less often, and never twice at a time', async () => {
  let fail: (error: Error) => void = () => undefined;
  answer = () =>
    new Promise((_, reject) => {
      fail = reject;
    });
  await watch.tick();
  nowMs += 60_000;
  await watch.tick();
  expect(asked).toEqual([id]);
  fail(new Error('no answer'));
  await watch.settled();
  await tick(10_000);
  expect(asked).toEqual([id]);
  answer = async () => nothing;
  await tick(6_000);
  expect(asked).toEqual([id, id]);
  expect((await trial.show(id)).load).toMatchObject({ nodes: [] });
});

test('with very many clusters each is asked less often, and none is left out', async () => {
  const { tenantId } = await trial.tenant();
  await trial.database.query(
    `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token)
     SELECT 'cl_' || lpad(n::text, 20, '0'), $1, 'many-' || n, '{"workerGroups": []}', 'user', 'running', 'ready', ''
     FROM generate_series(1, 400) n`,
    [tenantId],
  );
  for (let round = 0; round < 8; round += 1) await tick();
  expect(new Set(asked).size).toBe(401);
  expect(asked).toHaveLength(401);
  await tick(8_000);
  expect(asked).toHaveLength(401);
  await tick(4_500);
  for (let round = 0; round < 8; round += 1) await tick();
  expect(asked).toHaveLength(802);
});

test('stopping waits for what is under way and begins nothing more', async () => {
  let release: (state: ResourceState) => void = () => undefined;
  answer = () =>
    new Promise(resolve => {
      release = resolve;
    });
  await watch.tick();
  const stopped = watch.stop();
  release(nothing);
  await stopped;
  await tick(60_000);
  expect(asked).toEqual([id]);
});
