/** Budgets, ends, turns and preemptible clusters, on a real database with machines that obey. */
import type { ClusterId, NodeId, TenantId } from '@iocloud/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type SimulatedAgent, Trial } from './testing/index.js';

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
// What waits would come first on the machines of the next test.
afterEach(async () => {
  await trial.database.query(`UPDATE clusters SET desired = 'deleted', phase = 'deleted', deleted_at = now()`);
});
afterAll(() => trial.stop());

const hourMs = 3_600_000;

/** A machine at a price, in micro-USD per CPU and hour. */
async function pricedMachine(tenantId: TenantId, microUsdPerCpuHour: number, shared = false): Promise<SimulatedAgent> {
  const agent = await trial.machine(tenantId, {}, shared);
  const terms = JSON.stringify({ microUsdPerCpuHour });
  await trial.database.query('UPDATE nodes SET terms = $2 WHERE id = $1', [agent.nodeId, terms]);
  return agent;
}

/** As if all that runs had run for so much longer. */
async function backdate(id: ClusterId, ms: number): Promise<void> {
  await trial.database.query(
    'UPDATE leases SET created_at = created_at - make_interval(secs => $2) WHERE cluster_id = $1',
    [id, ms / 1000],
  );
}

const ending = async (id: ClusterId) => (await trial.show(id)).conditions.find(({ type }) => type === 'Ending');

describe('a budget', () => {
  test('is spent by what is held, at the price at which it was got, and stops the cluster in order before it is passed', async () => {
    const owner = await trial.tenant();
    const agent = await pricedMachine(owner.tenantId, 1_000_000);
    const id = await trial.create(owner.tenantId, { name: 'b', head: { cpus: 2 }, budgetMicroUsd: 4_000_000 });
    await agent.obey();
    await trial.database.query(`UPDATE nodes SET terms = '{"microUsdPerCpuHour": 9000000}' WHERE id = $1`, [
      agent.nodeId,
    ]);
    expect(await trial.show(id)).toMatchObject({ microUsdPerHour: 2_000_000, phase: 'ready' });
    trial.activity.set(id, { live: 1, lastEndedAt: null });

    await backdate(id, hourMs);
    const { spentMicroUsd, endsAt } = await trial.show(id);
    expect(Math.round(spentMicroUsd / 10_000)).toBe(200);
    expect(Math.abs(Date.parse(endsAt ?? '') - Date.now() - hourMs)).toBeLessThan(10_000);
    await trial.sweep();
    expect(trial.evicted.has(id)).toBe(false);

    await backdate(id, hourMs - 30_000);
    await trial.domain.cluster.handle(id);
    expect(trial.evicted.get(id)).toBe('b is stopped: its budget of $4.00 is spent.');
    expect(await ending(id)).toMatchObject({ status: 'True', reason: 'BudgetSpent' });
    const [view] = await trial.domain.clusters.live(trial.database, owner.tenantId);
    expect(view).toMatchObject({ phase: 'provisioning', headLeaseId: null });
    expect(agent.running.size).toBe(1);

    await backdate(id, 25_000);
    await trial.domain.cluster.handle(id);
    await agent.obey();
    const stopped = await trial.show(id);
    expect(stopped).toMatchObject({ phase: 'stopped', desired: 'stopped', leases: [], microUsdPerHour: 0 });
    expect(stopped.spentMicroUsd).toBeLessThanOrEqual(4_000_000);
    expect(stopped.spentMicroUsd).toBeGreaterThan(3_980_000);
    expect((await ending(id))?.reason).toBe('BudgetSpent');
    expect(await trial.reasons(id)).toEqual(
      expect.arrayContaining(['BudgetSpent', 'ClusterStopping', 'ClusterStopped']),
    );

    await trial.wish(id, { desired: 'running', spec: { budgetMicroUsd: 40_000_000 } });
    await agent.obey();
    expect(await trial.show(id)).toMatchObject({ phase: 'ready' });
    expect(await ending(id)).toBeUndefined();
    trial.activity.delete(id);
  });

  test('that pays for too short a time starts nothing', async () => {
    const owner = await trial.tenant();
    await pricedMachine(owner.tenantId, 1_000_000);
    const id = await trial.create(owner.tenantId, { name: 'poor', budgetMicroUsd: 1_000 });
    const { leases, conditions } = await trial.show(id);
    expect(leases).toEqual([]);
    expect(conditions[0]?.message).toMatch(/of its budget \$0.001 is left, which at \$1.00 an hour is too little/);
  });
});

test('a cluster is stopped by its time, and its jobs are asked to move before that', async () => {
  const owner = await trial.tenant();
  const agent = await trial.machine(owner.tenantId);
  const until = new Date(Date.now() + hourMs);
  const id = await trial.create(owner.tenantId, { name: 'shift', until: until.toISOString() });
  await agent.obey();
  trial.activity.set(id, { live: 1, lastEndedAt: null });
  await trial.sweepAfter(hourMs - 30_000);
  expect(trial.evicted.get(id)).toMatch(/^shift is stopped: it was to run until/);
  expect((await trial.show(id)).phase).toBe('ready');
  await trial.sweepAfter(hourMs - 5_000);
  await agent.obey();
  expect(await trial.show(id)).toMatchObject({ phase: 'stopped', leases: [] });
  trial.activity.delete(id);
});

describe('of clusters that wait for one machine', () => {
  const nodesOf = async (id: ClusterId): Promise<NodeId[]> => (await trial.show(id)).leases.map(({ nodeId }) => nodeId);

  async function contest(first: Record<string, unknown>, second: Record<string, unknown>) {
    const owner = await trial.tenant();
    const one = await trial.create(owner.tenantId, { name: 'one', head: { cpus: 8 }, ...first });
    const other = await trial.create(owner.tenantId, { name: 'other', head: { cpus: 8 }, ...second });
    const agent = await trial.machine(owner.tenantId);
    // In the less fortunate order: the one that comes later looks first.
    await trial.domain.cluster.handle(first.priority === 'high' ? other : one);
    return { one, other, agent };
  }

  test('the one of the higher class gets it, though it came later and looks later', async () => {
    const { one, other, agent } = await contest({ priority: 'low' }, { priority: 'high' });
    expect(await nodesOf(one)).toEqual([]);
    expect((await trial.show(one)).conditions[0]?.message).toMatch(/comes first/);
    await trial.settle();
    expect(await nodesOf(other)).toEqual([agent.nodeId]);
  });

  test('one that could not pay for it, or wants what it lacks, holds nobody up', async () => {
    const { one } = await contest({ priority: 'low' }, { priority: 'high', head: { cpus: 64 } });
    expect(await nodesOf(one)).toHaveLength(1);
  });
});

describe('a preemptible cluster', () => {
  const needs = { cpus: 8, gpus: 0, resources: {}, labels: {} };
  const provision = (tenantId: TenantId, preempts: boolean) =>
    trial.database.transaction(tx => trial.domain.clusters.provisionForJob(tx, tenantId, needs, { preempts }));

  test('is stopped for the urgent job of another tenant on a machine that is shared, and for nothing less', async () => {
    const [supplier, renter, other] = [await trial.tenant(), await trial.tenant(), await trial.tenant()];
    const agent = await trial.machine(supplier.tenantId, {}, true);
    const id = await trial.create(renter.tenantId, { name: 'soft', head: { cpus: 8 }, preemptible: true });
    await agent.obey();
    await trial.database.query(`UPDATE clusters SET ready_at = ready_at - interval '1 min' WHERE id = $1`, [id]);

    expect(await provision(other.tenantId, false)).toMatchObject({ ever: true });
    trial.activity.set(id, { live: 1, lastEndedAt: null });
    expect(await provision(other.tenantId, true)).toMatchObject({ ever: true });
    trial.activity.delete(id);
    const made = await provision(other.tenantId, true);
    expect(made).toHaveProperty('clusterId');
    await trial.settle();
    await agent.obey();
    expect(await trial.show(id)).toMatchObject({ phase: 'stopped' });
    expect(await trial.reasons(id)).toContain('ClusterPreempted');
    expect((await trial.show((made as { clusterId: ClusterId }).clusterId)).phase).toBe('ready');
  });
});
