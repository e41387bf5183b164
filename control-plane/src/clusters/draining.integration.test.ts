import type { ClusterId, NodeId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { drainNode, finishDrain, undrainNode } from '../inventory/draining.js';
import { getNode } from '../inventory/store.js';
import { Trial } from './testing/index.js';

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
afterAll(() => trial.stop());

type Owner = Awaited<ReturnType<Trial['tenant']>>;
const drain = (owner: Owner, nodeId: NodeId, graceSeconds = 60) =>
  trial.database.transaction(tx =>
    drainNode(tx, trial.domain.leaseBook, owner, nodeId, { graceSeconds, reason: 'new fans' }),
  );
const undrain = (owner: Owner, nodeId: NodeId) =>
  trial.database.transaction(tx => undrainNode(tx, trial.domain.leaseBook, owner, nodeId));
const schedulingOf = async (owner: Owner, nodeId: NodeId) => {
  await finishDrain(trial.database, trial.domain.leaseBook, nodeId);
  return (await getNode(trial.database, owner.tenantId, nodeId)).scheduling;
};
const nodesOf = async (id: ClusterId) => (await trial.show(id)).leases.map(lease => lease.nodeId);

test('a machine that is drained loses its jobs first, then its cluster to another machine, then it is drained', async () => {
  const owner = await trial.tenant();
  const [one, other] = [await trial.machine(owner.tenantId), await trial.machine(owner.tenantId)];
  const id = await trial.create(owner.tenantId, { name: 'demo' });
  const [agent, elsewhere] = (await nodesOf(id))[0] === one.nodeId ? [one, other] : [other, one];
  await agent.obey();
  trial.activity.set(id, { live: 1, lastEndedAt: null });

  await drain(owner, agent.nodeId);
  await trial.settle();
  expect(trial.evicted.get(id)).toMatch(/is being drained \(new fans\)/);
  expect(await nodesOf(id)).toEqual([agent.nodeId]);
  expect(await schedulingOf(owner, agent.nodeId)).toBe('draining');
  const [view] = await trial.domain.clusters.live(trial.database, owner.tenantId);
  expect(view).toMatchObject({ phase: 'provisioning', headLeaseId: null });

  trial.activity.set(id, { live: 0, lastEndedAt: new Date() });
  await trial.domain.cluster.handle(id);
  await agent.obey();
  expect(await nodesOf(id)).toEqual([elsewhere.nodeId]);
  expect(await schedulingOf(owner, agent.nodeId)).toBe('drained');
  await elsewhere.obey();
  expect((await trial.show(id)).phase).toBe('ready');
  expect(await trial.reasons(agent.nodeId as never)).toEqual(['NodeDraining', 'NodeDrained']);

  await undrain(owner, agent.nodeId);
  expect(await schedulingOf(owner, agent.nodeId)).toBe('active');
  trial.activity.delete(id);
});

test('what still runs on it when the grace is over is ended', async () => {
  const owner = await trial.tenant();
  const agent = await trial.machine(owner.tenantId);
  const id = await trial.create(owner.tenantId, { name: 'demo' });
  await agent.obey();
  trial.activity.set(id, { live: 1, lastEndedAt: null });
  await drain(owner, agent.nodeId, 5);
  await trial.settle();
  expect(agent.running.size).toBe(1);
  await trial.sweepAfter(6_000);
  await agent.hear();
  expect(agent.running.size).toBe(0);
  await agent.report();
  expect(await schedulingOf(owner, agent.nodeId)).toBe('drained');
  trial.activity.delete(id);
});

test('a machine that is being drained gets nothing new, and may take work again before it is empty', async () => {
  const owner = await trial.tenant();
  const agent = await trial.machine(owner.tenantId);
  await drain(owner, agent.nodeId);
  const id = await trial.create(owner.tenantId, { name: 'demo' });
  await trial.settle();
  expect(await nodesOf(id)).toEqual([]);
  await undrain(owner, agent.nodeId);
  await trial.settle();
  expect(await nodesOf(id)).toEqual([agent.nodeId]);
});

test('another tenant cannot drain it', async () => {
  const owner = await trial.tenant();
  const stranger = await trial.tenant();
  const agent = await trial.machine(owner.tenantId, {}, true);
  await expect(drain(stranger, agent.nodeId)).rejects.toThrow(/no machine/);
  await expect(undrain(stranger, agent.nodeId)).rejects.toThrow(/no machine/);
});
