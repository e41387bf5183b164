import type { ClusterId } from '@iocloud/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import * as inventoryStore from '../inventory/store.js';
import { autoscale } from './autoscale.js';
import { loadOf } from './load.js';
import { sweepLoads, writeLoad } from './load-store.js';
import type { RayNodeState, ResourceState } from './ray-state/index.js';
import { type SimulatedAgent, Trial } from './testing/index.js';

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
afterAll(() => trial.stop());

/** What Ray would say: every lease that runs is a Ray node of two CPUs. */
let busy = new Set<string>();
const rayOf = (agent: SimulatedAgent, tasks = 0): ResourceState => ({
  nodes: agent.leases.map((lease): RayNodeState => {
    const isBusy = busy.has(`${lease.group}/${lease.ordinal}`);
    return {
      rayNodeId: `ray-${lease.leaseId}`,
      instanceId: lease.leaseId,
      group: lease.group,
      status: isBusy ? 'running' : 'idle',
      total: { CPU: lease.cpus },
      available: { CPU: isBusy || lease.role === 'head' ? 0 : lease.cpus },
      idleMs: isBusy ? 0 : 10_000,
    };
  }),
  waiting: tasks > 0 ? [{ bundle: { resources: { CPU: 2 }, labels: [] }, count: tasks }] : [],
  gangs: [],
  requested: [],
});

let drained: string[] = [];
afterEach(() => {
  drained = [];
  busy = new Set();
});
const size = (clusterId: ClusterId, state: ResourceState, onDrain: () => Promise<boolean> = async () => true) =>
  autoscale(
    {
      database: trial.database,
      machines: { changeDesired: inventoryStore.changeDesired },
      log: trial.ground.log,
      now: () => trial.now(),
      told: () => undefined,
      drain: async (_, rayNodeId) => {
        drained.push(rayNodeId);
        return { accepted: await onDrain(), reason: 'busy' };
      },
    },
    clusterId,
    state,
  );

async function elastic(count: number, name = 'elastic'): Promise<{ id: ClusterId; agent: SimulatedAgent }> {
  const { tenantId } = await trial.tenant();
  const agent = await trial.machine(tenantId, { cpus: 16 });
  const workerGroups = [{ name: 'w', cpus: 2, count, minCount: 0, maxCount: 4, idleTimeoutSeconds: 5 }];
  const id = await trial.create(tenantId, { name, workerGroups });
  await agent.obey();
  return { id, agent };
}
const workersOf = async (id: ClusterId) =>
  (await trial.show(id)).leases.filter(({ role }) => role === 'worker').map(({ ordinal }) => ordinal);

describe('an autoscaled group', () => {
  test('grows as a wish that the loop carries out, and says why', async () => {
    const { id, agent } = await elastic(0);
    await size(id, rayOf(agent, 3));
    await trial.settle();
    await agent.obey();
    const grown = await trial.show(id);
    expect(grown.spec.workerGroups[0]?.count).toBe(3);
    expect(grown).toMatchObject({ generation: 2, observedGeneration: 2 });
    expect(await workersOf(id)).toEqual([0, 1, 2]);
    expect(await trial.reasons(id)).toContain('ClusterScaledUp');
    await size(id, rayOf(agent, 3)); // they fit into what is free by now
    expect((await trial.show(id)).spec.workerGroups[0]?.count).toBe(3);
  });

  test('is offered to jobs that name it as large as it may become', async () => {
    const { id } = await elastic(1);
    const [view] = (await trial.domain.clusters.live(trial.database)).filter(one => one.id === id);
    expect(view).toMatchObject({ capacity: { cpus: 3 }, growsTo: { cpus: 9 }, saturated: false });
  });

  test('lets an idle worker go, whichever it is, after Ray has agreed, and keeps the busy ones', async () => {
    const { id, agent } = await elastic(3);
    busy = new Set(['w/1', 'w/2']);
    const idle = (await trial.show(id)).leases.find(({ group, ordinal }) => group === 'w' && ordinal === 0);
    await size(id, rayOf(agent));
    expect(drained).toEqual([`ray-${idle?.id}`]);
    await trial.settle();
    await agent.obey();
    expect(await workersOf(id)).toEqual([1, 2]);
    expect(await trial.reasons(id)).toContain('ClusterScaledDown');
    // The place that became free is the next to be filled.
    await size(id, rayOf(agent, 1));
    await agent.obey();
    expect(await workersOf(id)).toEqual([0, 1, 2]);
  });

  test('keeps a worker that Ray says is busy again', async () => {
    const { id, agent } = await elastic(1);
    await size(id, rayOf(agent), async () => false);
    expect(drained).toHaveLength(1);
    await trial.settle();
    await agent.obey();
    expect(await workersOf(id)).toEqual([0]);
    expect((await trial.show(id)).spec.workerGroups[0]?.count).toBe(1);
  });

  test('is left as it is when somebody changes it in the meantime', async () => {
    const { id, agent } = await elastic(1);
    await size(id, rayOf(agent), async () => {
      await trial.wish(id, { desired: 'stopped' });
      return true;
    });
    expect((await trial.show(id)).spec.workerGroups[0]?.count).toBe(1);
    expect(await trial.reasons(id)).not.toContain('ClusterScaledDown');
    await size(id, rayOf(agent, 4));
    expect((await trial.show(id)).spec.workerGroups[0]?.count).toBe(1);
  });

  test('that a user makes smaller loses what is idle', async () => {
    const { id, agent } = await elastic(3);
    busy = new Set(['w/2']);
    await writeLoad(trial.database, id, null, loadOf(rayOf(agent), null, trial.now()));
    const { spec } = await trial.show(id);
    await trial.wish(id, { spec: { workerGroups: spec.workerGroups.map(group => ({ ...group, count: 1 })) } });
    await agent.obey();
    expect(await workersOf(id)).toEqual([2]);
  });
});

test('a load is shown while it is fresh, and forgotten with its cluster', async () => {
  const { id, agent } = await elastic(1);
  const load = loadOf(rayOf(agent, 2), null, trial.now());
  expect(await writeLoad(trial.database, id, null, load)).toBe(true);
  expect(await writeLoad(trial.database, id, load, load)).toBe(false);
  expect((await trial.show(id)).load).toMatchObject({ waiting: [{ count: 2 }], resources: { CPU: { total: 3 } } });
  const [view] = (await trial.domain.clusters.live(trial.database)).filter(one => one.id === id);
  expect(view?.saturated).toBe(true);
  const machine = await trial.domain.leaseBook.leased(trial.database, [agent.nodeId]);
  expect(machine.get(agent.nodeId)?.load).toEqual({ state: 'idle', cpusUsed: 1, devicesUsed: 0 });
  await trial.database.query(`UPDATE cluster_loads SET read_at = now() - interval '1 minute' WHERE cluster_id = $1`, [
    id,
  ]);
  expect((await trial.show(id)).load).toBeNull();
  await trial.wish(id, { desired: 'deleted' });
  await agent.obey();
  await sweepLoads(trial.database);
  const { rows } = await trial.database.query('SELECT 1 FROM cluster_loads WHERE cluster_id = $1', [id]);
  expect(rows).toEqual([]);
});
