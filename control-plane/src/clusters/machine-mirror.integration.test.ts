import { randomBytes } from 'node:crypto';
import { type NodeId, newId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Ask } from '../core/matching/index.js';
import { drainNode, undrainNode } from '../inventory/draining.js';
import { touch } from '../inventory/presence.js';
import { readMachines } from '../inventory/store.js';
import { MachineMirror } from './machine-mirror.js';
import { leased } from './room.js';
import { Trial } from './testing/index.js';

/** Machines are looked up in the index from the first one on. */
let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start(0);
}, 60_000);
afterAll(() => trial.stop());

type Owner = Awaited<ReturnType<Trial['tenant']>>;
let reads: NodeId[] = [];
const newMirror = () =>
  new MachineMirror({
    machines: {
      read: (db, ids) => {
        reads.push(...ids);
        return readMachines(db, ids);
      },
    },
    leased,
    fewMachines: 0,
  });
const ask = ({ tenantId }: Owner, cpus = 5): Ask => ({
  tenantId,
  rayVersion: '2.60.0',
  requirements: undefined,
  wants: [{ key: 'head/0', cpus, gpus: 0 }],
});
/** Without those that would do if nothing ran there. */
const roomy = async (
  mirror: MachineMirror,
  asks: Ask[],
  db: Parameters<MachineMirror['choose']>[0] = trial.database,
) => {
  const ids = (await mirror.choose(db, asks)) ?? [];
  const taken = await leased(db, ids);
  return ids.filter(id => (taken.get(id)?.cpus ?? 0) === 0);
};
const nodesOf = async (id: Parameters<Trial['show']>[0]) => (await trial.show(id)).leases.map(lease => lease.nodeId);

test('hears of machines that come, fill, empty, are drained and go, and of nothing else', async () => {
  const owner = await trial.tenant();
  const mirror = newMirror();
  expect(await roomy(mirror, [ask(owner)])).toEqual([]);
  const agent = await trial.machine(owner.tenantId);
  expect(await roomy(mirror, [ask(owner)])).toEqual([agent.nodeId]);

  const id = await trial.create(owner.tenantId, { name: 'demo', head: { cpus: 4 } });
  await agent.obey();
  expect(await nodesOf(id)).toEqual([agent.nodeId]);
  expect(await roomy(mirror, [ask(owner)])).toEqual([]);
  await trial.wish(id, { desired: 'deleted' });
  await agent.obey();
  expect(await roomy(mirror, [ask(owner)])).toEqual([agent.nodeId]);

  const wish = { graceSeconds: 60, reason: 'new fans' };
  await trial.database.transaction(tx => drainNode(tx, trial.domain.leaseBook, owner, agent.nodeId, wish));
  expect(await roomy(mirror, [ask(owner)])).toEqual([]);
  await trial.database.transaction(tx => undrainNode(tx, trial.domain.leaseBook, owner, agent.nodeId));
  expect(await roomy(mirror, [ask(owner)])).toEqual([agent.nodeId]);

  const changes = async () => (await trial.database.query('SELECT 1 FROM machine_changes')).rowCount;
  const before = await changes();
  expect(await touch(trial.database, agent.nodeId)).toBe(true);
  expect(await changes()).toBe(before);

  await trial.database.query('UPDATE nodes SET removed_at = now(), online = false WHERE id = $1', [agent.nodeId]);
  expect(await roomy(mirror, [ask(owner)])).toEqual([]);
});

test('what is committed late is not missed, and what is rolled back is forgotten', async () => {
  const owner = await trial.tenant();
  const agent = await trial.machine(owner.tenantId);
  const mirror = newMirror();
  expect(await roomy(mirror, [ask(owner)])).toEqual([agent.nodeId]);
  const offline = (db: Parameters<MachineMirror['choose']>[0]) =>
    db.query('UPDATE nodes SET online = false WHERE id = $1', [agent.nodeId]);

  const late = await trial.database.pool.connect();
  try {
    await late.query('BEGIN');
    await offline(late);
    // Others commit, and are heard of, in the meantime.
    const other = await trial.machine(owner.tenantId);
    expect((await roomy(mirror, [ask(owner), ask(owner)])).sort()).toEqual([agent.nodeId, other.nodeId].sort());
    // Its own transaction sees it already; when that comes to nothing, nobody says so.
    expect(await roomy(mirror, [ask(owner), ask(owner)], late)).toEqual([other.nodeId]);
    await late.query('ROLLBACK');
    expect((await roomy(mirror, [ask(owner), ask(owner)])).sort()).toEqual([agent.nodeId, other.nodeId].sort());

    await late.query('BEGIN');
    await offline(late);
    await trial.machine((await trial.tenant()).tenantId);
    await mirror.choose(trial.database, [ask(owner)]);
    await late.query('COMMIT');
    expect(await roomy(mirror, [ask(owner), ask(owner)])).toEqual([other.nodeId]);
  } finally {
    late.release();
  }
});

test('reads what has changed, not the fleet', async () => {
  const owner = await trial.tenant();
  const ids = Array.from({ length: 500 }, () => newId('node', randomBytes));
  const agent = await trial.machine(owner.tenantId);
  await trial.database.query(
    `INSERT INTO nodes (id, tenant_id, name, public_key, shared, inventory, online, last_heartbeat_at)
     SELECT i, tenant_id, i, i, false, inventory, true, now() FROM nodes, unnest($2::text[]) AS i WHERE id = $1`,
    [agent.nodeId, ids],
  );
  const mirror = newMirror();
  reads = [];
  await mirror.choose(trial.database, [ask(owner)]);
  expect(reads.length).toBeGreaterThan(500);
  reads = [];
  await trial.database.query('UPDATE nodes SET online = false WHERE id = $1', [ids[7]]);
  const chosen = await mirror.choose(trial.database, [ask(owner)]);
  expect(reads).toContain(ids[7]);
  // And a few that have not been read for the longest.
  expect(reads.length).toBeLessThan(50);
  expect(chosen).toHaveLength(1);
});

test('a cluster is placed, and one for a job, where all machines are looked up in the index', async () => {
  const owner = await trial.tenant();
  await trial.machine(owner.tenantId, { cpus: 2 });
  const big = await trial.machine(owner.tenantId, { cpus: 16 });
  const id = await trial.create(owner.tenantId, { name: 'demo', head: { cpus: 6 } });
  await big.obey();
  expect(await nodesOf(id)).toEqual([big.nodeId]);
  const needs = { cpus: 1, gpus: 0, resources: {}, labels: {} };
  const provisioned = await trial.database.transaction(tx =>
    trial.domain.clusters.provisionForJob(tx, owner.tenantId, needs),
  );
  if (!('clusterId' in provisioned)) throw new Error(provisioned.refused);
  // The roomiest head that fits anywhere.
  expect(await nodesOf(provisioned.clusterId)).toEqual([big.nodeId]);
  const refused = await trial.database.transaction(tx =>
    trial.domain.clusters.provisionForJob(tx, owner.tenantId, { ...needs, cpus: 17 }),
  );
  expect(refused).toMatchObject({ ever: false });
  const later = await trial.database.transaction(tx =>
    trial.domain.clusters.provisionForJob(tx, owner.tenantId, { ...needs, cpus: 12 }),
  );
  expect(later).toMatchObject({ ever: true });
});
