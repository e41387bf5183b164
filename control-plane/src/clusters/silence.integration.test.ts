/** A machine that falls silent is told of at once, and nothing that runs there is ended for it. */
import { heartbeatTimeoutMs } from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { Inventory } from '../inventory/index.js';
import { touch, touchEach } from '../inventory/presence.js';
import { silentSince } from '../inventory/silent-nodes.js';
import { Trial } from './testing/index.js';

jest.setTimeout(60_000);

let trial: Trial;
let inventory: Inventory | undefined;
beforeAll(async () => {
  trial = await Trial.start();
});
afterEach(async () => {
  await inventory?.stop();
  inventory = undefined;
});
afterAll(() => trial?.stop());

async function listen(): Promise<Inventory> {
  const started = new Inventory({
    database: trial.database,
    leaseBook: trial.domain.leaseBook,
    mesh: trial.mesh,
    log: trial.ground.log,
    ssh: { host: '127.0.0.1', port: 0, hostKey: Buffer.from(newSshKeyPair('host').private) },
    nodeLostSeconds: 60,
    telemetryHours: 6,
  });
  await started.listen();
  return started;
}

async function until(look: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 20_000; !(await look()); ) {
    if (Date.now() > deadline) throw new Error('it did not come to that');
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

test('the machine, its clusters and their jobs say so; leases stay as they are', async () => {
  const owner = await trial.tenant();
  const agent = await trial.machine(owner.tenantId);
  const other = await trial.machine(owner.tenantId, { cpus: 1 });
  const id = await trial.create(owner.tenantId, { name: 'cut', head: { cpus: 4 } });
  await agent.obey();
  const beat = setInterval(() => void touch(trial.database, other.nodeId), 500);
  try {
    inventory = await listen();
    await until(async () => (await trial.reasons(id)).includes('MachineUnreachable'));
  } finally {
    clearInterval(beat);
  }
  const { rows } = await trial.database.query('SELECT id, online FROM nodes WHERE id = ANY($1)', [
    [agent.nodeId, other.nodeId],
  ]);
  expect(new Map(rows.map(row => [row.id, row.online]))).toEqual(
    new Map([
      [agent.nodeId, false],
      [other.nodeId, true],
    ]),
  );
  expect(await trial.reasons(agent.nodeId as never)).toContain('NodeOffline');
  expect(trial.told).toEqual([`MachineUnreachable ${id}`]);
  const leases = await trial.database.query('SELECT phase, desired FROM leases WHERE cluster_id = $1', [id]);
  expect(leases.rows).toEqual([{ phase: 'ready', desired: true }]);
  expect((await trial.show(id)).phase).toBe('ready');
});

test('a control plane that has just started calls no machine silent before it has listened', async () => {
  const owner = await trial.tenant();
  const agent = await trial.machine(owner.tenantId);
  const online = async () =>
    (await trial.database.query('SELECT online FROM nodes WHERE id = $1', [agent.nodeId])).rows[0]?.online as boolean;
  await trial.database.query(`UPDATE nodes SET last_heartbeat_at = now() - interval '1 hour' WHERE id = $1`, [
    agent.nodeId,
  ]);
  const startedAt = performance.now();
  inventory = await listen();
  await until(async () => !(await online()));
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(heartbeatTimeoutMs);
});

test('heartbeats are recorded together, past a machine that somebody is just changing', async () => {
  const owner = await trial.tenant();
  const [free, busy, gone] = [
    await trial.machine(owner.tenantId),
    await trial.machine(owner.tenantId),
    await trial.machine(owner.tenantId),
  ].map(({ nodeId }) => nodeId);
  await trial.database.query('UPDATE nodes SET online = false WHERE id = $1', [gone]);
  const beats = [free, busy, gone] as never[];
  for (const nodeId of beats) expect(await touch(trial.database, nodeId)).toBe(nodeId !== gone);
  const recorded = await trial.database.transaction(async tx => {
    await tx.query('SELECT 1 FROM node_heartbeats WHERE node_id = $1 FOR UPDATE', [busy]);
    return touchEach(trial.database, beats);
  });
  expect([...recorded]).toEqual([free]);
  expect([...(await touchEach(trial.database, beats))].sort()).toEqual([free, busy].sort());
});

test('a record that PostgreSQL has lost with a crash gives no machine up', async () => {
  const owner = await trial.tenant();
  const [heard, silent] = [await trial.machine(owner.tenantId), await trial.machine(owner.tenantId)];
  const beat = setInterval(() => void touch(trial.database, heard.nodeId), 500);
  const online = async () => {
    const { rows } = await trial.database.query('SELECT id FROM nodes WHERE id = ANY($1) AND online', [
      [heard.nodeId, silent.nodeId],
    ]);
    return rows.map(({ id }) => id);
  };
  try {
    inventory = await listen();
    await until(async () => (await trial.database.query('SELECT 1 FROM node_heartbeats')).rows.length >= 2);
    // What is left of an unlogged table.
    await trial.database.query('TRUNCATE node_heartbeats');
    const lostAt = performance.now();
    expect(await silentSince(trial.database, 0.5)).not.toContain(silent.nodeId);
    await until(async () => !(await online()).includes(silent.nodeId));
    expect(performance.now() - lostAt).toBeGreaterThanOrEqual(heartbeatTimeoutMs);
    expect(await online()).toEqual([heard.nodeId]);
    // That it is offline is logged, with the time: emptied once more, it is no more and no less silent.
    const { rows } = await trial.database.query('SELECT last_heartbeat_at FROM nodes WHERE id = $1', [silent.nodeId]);
    await trial.database.query('TRUNCATE node_heartbeats');
    expect(await silentSince(trial.database, 3)).toContain(silent.nodeId);
    expect(await silentSince(trial.database, 3_600)).not.toContain(silent.nodeId);
    expect(rows[0]?.last_heartbeat_at).toBeInstanceOf(Date);
  } finally {
    clearInterval(beat);
  }
});
