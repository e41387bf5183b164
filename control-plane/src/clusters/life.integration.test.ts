import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Trial } from './testing/index.js';

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
afterAll(async () => {
  await trial.stop();
});

const condition = (cluster: { conditions: { type: string }[] }, type: string) =>
  cluster.conditions.find(candidate => candidate.type === type);

describe('a cluster', () => {
  test('is placed, started head first, made ready, scaled, stopped, started and deleted', async () => {
    const { tenantId } = await trial.tenant();
    const agent = await trial.machine(tenantId);
    const id = await trial.create(tenantId, { name: 'demo', workerGroups: [{ name: 'small', cpus: 1, count: 2 }] });
    expect((await trial.show(id)).phase).toBe('provisioning');
    await agent.hear();
    expect(agent.leases.map(lease => lease.role)).toEqual(['head']);
    expect(agent.leases[0]).toMatchObject({ nodeIp: '127.0.0.2', headIp: '127.0.0.2', cpus: 1, clusterId: id });
    expect(agent.leases[0]?.authToken).toMatch(/^[0-9a-f]{64}$/);

    await agent.obey();
    const ready = await trial.show(id);
    expect(ready).toMatchObject({ phase: 'ready', observedGeneration: 1 });
    expect(ready.leases.map(lease => lease.phase)).toEqual(['ready', 'ready', 'ready']);
    expect(new Set(agent.leases.map(lease => lease.nodeIp)).size).toBe(3);
    expect(condition(ready, 'WorkersReady')).toMatchObject({ status: 'True' });
    expect(condition(ready, 'NetworkIsolated')).toMatchObject({ status: 'True', reason: 'Namespace' });

    const workerGroups = (count: number) => ready.spec.workerGroups.map(group => ({ ...group, count }));
    await trial.wish(id, { spec: { workerGroups: workerGroups(1) } });
    await agent.obey();
    expect((await trial.show(id)).leases.map(lease => lease.ordinal)).toEqual([0, 0]);
    await trial.wish(id, { spec: { workerGroups: workerGroups(3) } });
    await agent.obey();
    expect((await trial.show(id)).leases).toHaveLength(4);

    await trial.wish(id, { desired: 'stopped' });
    expect((await trial.show(id)).phase).toBe('stopping');
    await agent.obey();
    expect(await trial.show(id)).toMatchObject({ phase: 'stopped', leases: [] });
    expect(agent.running.size).toBe(0);
    await trial.wish(id, { desired: 'running' });
    await agent.obey();
    expect((await trial.show(id)).phase).toBe('ready');
    await trial.wish(id, { desired: 'deleted' });
    await agent.obey();
    expect(await trial.show(id)).toMatchObject({ phase: 'deleted', leases: [] });
    expect(await trial.reasons(id)).toEqual([
      'ClusterPlaced',
      'HeadStarting',
      'HeadReady',
      ...['WorkerStarting', 'WorkerStarting', 'WorkerReady', 'WorkerReady'],
      ...['WorkerStarting', 'WorkerStarting', 'WorkerReady', 'WorkerReady'],
      ...['ClusterStopping', 'ClusterStopped', 'ClusterStarting', 'ClusterPlaced', 'HeadStarting', 'HeadReady'],
      ...['WorkerStarting', 'WorkerStarting', 'WorkerStarting', 'WorkerReady', 'WorkerReady', 'WorkerReady'],
      ...['ClusterDeleting', 'ClusterDeleted'],
    ]);
  });

  test('keeps its machine until the agent has confirmed the end', async () => {
    const { tenantId } = await trial.tenant();
    const agent = await trial.machine(tenantId, { cpus: 2 });
    const first = await trial.create(tenantId, { name: 'first', head: { cpus: 2 } });
    await agent.obey();
    const second = await trial.create(tenantId, { name: 'second', head: { cpus: 2 } });
    expect(condition(await trial.show(second), 'Placed')).toMatchObject({
      status: 'False',
      reason: 'NoCapacity',
      message: expect.stringContaining('2 CPUs are wanted, 0 of 2 are free'),
    });
    await trial.wish(first, { desired: 'deleted' });
    const stale = agent.revision;
    await agent.report(); // an observation from before the change proves nothing
    await trial.settle();
    expect((await trial.show(first)).phase).toBe('deleting');
    await agent.hear();
    expect(agent.revision).toBeGreaterThan(stale);
    await agent.report();
    await trial.settle();
    expect((await trial.show(first)).phase).toBe('deleted');
    expect((await trial.show(second)).phase).toBe('provisioning');
  });

  test('whose head has exited is started anew, at once and then after a pause, with the reason told', async () => {
    const { tenantId } = await trial.tenant();
    const agent = await trial.machine(tenantId);
    const id = await trial.create(tenantId, { name: 'demo', workerGroups: [{ name: 'w', cpus: 1, count: 1 }] });
    await agent.obey();
    const before = (await trial.show(id)).leases.map(lease => lease.id);
    const exitHead = async () => {
      agent.exit(lease => lease.role === 'head');
      await agent.report();
      await trial.settle();
      await agent.obey();
    };
    await exitHead();
    await trial.sweep();
    await agent.obey();
    expect((await trial.show(id)).phase).toBe('ready');
    await exitHead();
    expect(await trial.show(id)).toMatchObject({ phase: 'pending', leases: [] });
    await trial.sweepAfter(3_000);
    await agent.obey();
    const after = await trial.show(id);
    expect(after.phase).toBe('ready');
    expect(after.leases.filter(lease => before.includes(lease.id))).toEqual([]);
    expect(await trial.reasons(id)).toEqual(expect.arrayContaining(['HeadExited', 'HeadLost']));
  });

  test('keeps a dead head’s machine while its jobs read the ends of their logs', async () => {
    const { tenantId } = await trial.tenant();
    const agent = await trial.machine(tenantId);
    const id = await trial.create(tenantId, { name: 'demo' });
    await agent.obey();
    trial.activity.set(id, { live: 1, lastEndedAt: null });
    agent.exit(lease => lease.role === 'head');
    await agent.report();
    await trial.settle();
    await agent.hear();
    expect(agent.leases).toHaveLength(1);
    trial.activity.set(id, { live: 0, lastEndedAt: new Date() });
    await trial.domain.cluster.handle(id);
    await agent.hear();
    expect(agent.leases).toHaveLength(0);
    trial.activity.delete(id);
  });

  test('gets a dead worker replaced alone', async () => {
    const { tenantId } = await trial.tenant();
    const agent = await trial.machine(tenantId);
    const id = await trial.create(tenantId, { name: 'demo', workerGroups: [{ name: 'w', cpus: 1, count: 2 }] });
    await agent.obey();
    const before = await trial.show(id);
    agent.exit(lease => lease.role === 'worker' && lease.ordinal === 1);
    await agent.report();
    await trial.settle();
    expect(condition(await trial.show(id), 'WorkersReady')).toMatchObject({
      status: 'False',
      message: '1 of 2 workers are not ready: w/1',
    });
    await agent.obey();
    await trial.sweepAfter(2_000);
    await agent.obey();
    const after = await trial.show(id);
    expect(after.phase).toBe('ready');
    const kept = after.leases.filter(lease => before.leases.some(old => old.id === lease.id));
    expect(kept.map(lease => `${lease.group}/${lease.ordinal}`)).toEqual(['head/0', 'w/0']);
    expect(after.leases.map(lease => lease.phase)).toEqual(['ready', 'ready', 'ready']);
  });
});
