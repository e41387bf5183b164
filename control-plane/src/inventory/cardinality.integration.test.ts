/** How many series there are must not follow how many machines, models, regions and tenants there are. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { registry } from '../platform/index.js';
import { type Ground, startGround } from '../test-ground.js';
import { nodeState } from './metrics.js';
import { insertScrapedFleet } from './testing/index.js';

let ground: Ground;
beforeAll(async () => {
  ground = await startGround();
}, 60_000);
afterAll(() => ground?.stop());

const seriesOf = async (name: string) =>
  (await registry.getMetricsAsJSON()).find(metric => metric.name === name)?.values.length ?? 0;

test('10,000 devices of 80 models in 200 regions stay within the budget that docs/metrics.md states', async () => {
  await insertScrapedFleet(ground.database, 1_250);
  await nodeState.read(ground.database);
  // 30 regions and `other`, of machines that are all online and active.
  expect(await seriesOf('iocloud_nodes')).toBe(31);
  // 20 models and `other`, all free.
  expect(await seriesOf('iocloud_devices')).toBe(21);
  expect(await seriesOf('iocloud_nodes_by_country')).toBe(60);
  const text = await registry.metrics();
  expect(text.split('\n').filter(line => line !== '' && !line.startsWith('#')).length).toBeLessThan(5_000);
});
