/** What becomes of Ray nodes tells of their machines: only what ended though it was to run, and each once. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type SimulatedAgent, Trial } from './testing/index.js';

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
afterAll(() => trial?.stop());
beforeEach(() => trial.database.query('DELETE FROM evidence'));

async function notes(): Promise<{ node_id: string; kind: string }[]> {
  const { rows } = await trial.database.query<{ node_id: string; kind: string }>(
    'SELECT node_id, kind FROM evidence ORDER BY id',
  );
  return rows;
}

const lost = (agent: SimulatedAgent) => ({ node_id: agent.nodeId, kind: 'rayNodeLost' });

async function ready(name: string) {
  const { tenantId } = await trial.tenant();
  const agent = await trial.machine(tenantId);
  const id = await trial.create(tenantId, { name, workerGroups: [{ name: 'small', cpus: 1, count: 2 }] });
  await agent.obey();
  expect((await trial.show(id)).phase).toBe('ready');
  const head = agent.leases.find(lease => lease.role === 'head')?.leaseId;
  if (!head) throw new Error('a cluster that is ready has a head');
  return { agent, id, failed: async () => (await trial.domain.clusters.machineOf(trial.database, head)).failed };
}

test('a worker that ends by itself counts once, however often its agent says so', async () => {
  const { agent, failed } = await ready('worker');
  agent.exit(lease => lease.role === 'worker' && lease.ordinal === 0);
  await agent.report();
  await agent.report();
  await trial.settle();
  await agent.obey();
  expect(await notes()).toEqual([lost(agent)]);
  expect(await failed()).toBe(false);
});

test('a head that ends by itself counts, and the jobs on it can tell that it failed', async () => {
  const { agent, failed } = await ready('head');
  agent.exit(lease => lease.role === 'head');
  await agent.report();
  await agent.obey();
  expect(await notes()).toEqual([lost(agent)]);
  expect(await failed()).toBe(true);
});

test('what is told to end tells nothing, be it a worker too many or a whole cluster', async () => {
  const { agent, id, failed } = await ready('told');
  const { spec } = await trial.show(id);
  await trial.wish(id, { spec: { workerGroups: spec.workerGroups.map(group => ({ ...group, count: 1 })) } });
  await agent.obey();
  await trial.wish(id, { desired: 'deleted' });
  agent.exit(() => true);
  await agent.report();
  await agent.obey();
  expect((await trial.show(id)).phase).toBe('deleted');
  expect(await notes()).toEqual([]);
  expect(await failed()).toBe(false);
});

test('a Ray node that never came up is not held against its machine', async () => {
  const { tenantId } = await trial.tenant();
  const agent = await trial.machine(tenantId);
  await trial.create(tenantId, { name: 'stillborn' });
  await agent.hear();
  agent.exit(() => true);
  await agent.report();
  await trial.settle();
  expect(await notes()).toEqual([]);
});

test('a machine that goes silent counts for each Ray node that was ready on it, and its cluster comes up on another', async () => {
  const { agent, id, failed } = await ready('silent');
  const { rows } = await trial.database.query(
    `UPDATE nodes SET last_heartbeat_at = now() - interval '10 minutes', online = false WHERE id = $1 RETURNING tenant_id`,
    [agent.nodeId],
  );
  const other = await trial.machine(rows[0]?.tenant_id);
  // By steps, as a control plane that listens all the while.
  for (let seconds = 3; seconds <= 66; seconds += 3) await trial.sweepAfter(seconds * 1_000);
  expect(await notes()).toEqual([lost(agent), lost(agent), lost(agent)]);
  expect(await failed()).toBe(true);
  await other.obey();
  const { phase, leases } = await trial.show(id);
  expect([phase, leases.map(lease => lease.nodeId)]).toEqual(['ready', Array(3).fill(other.nodeId)]);
});
