import { createHash } from 'node:crypto';
import { Duplex, PassThrough } from 'node:stream';
import type { Measurement, NodeId } from '@iocloud/contracts';
import { ByteReader } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Trial } from '../clusters/testing/index.js';
import { measureNext } from './measuring.js';
import { StreamRefused } from './ports.js';
import { getNode, readMachines, toNodes } from './store.js';

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
afterAll(() => trial.stop());

/** A machine that answers each round at once. */
function honestMachine(): Duplex {
  const [to, from] = [new PassThrough(), new PassThrough()];
  for (const way of [to, from]) way.on('error', () => undefined);
  const reader = new ByteReader(to);
  const serve = async () => {
    for (;;) {
      const head: Buffer[] = [];
      if (!(await reader.take(8, piece => head.push(piece)))) return from.end();
      const sizes = Buffer.concat(head);
      const hash = createHash('sha256');
      await reader.take(sizes.readUInt32BE(0), piece => hash.update(piece));
      from.write(Buffer.concat([hash.digest(), Buffer.alloc(sizes.readUInt32BE(4))]));
    }
  };
  // Whoever measures ends it.
  serve().catch(() => undefined);
  return Duplex.from({ readable: from, writable: to }).on('error', () => undefined);
}

const next = (openStream: (nodeId: NodeId) => Promise<Duplex>) =>
  measureNext({ database: trial.database, machines: { openStream }, log: trial.ground.log, random: () => 0.5 });

test('a machine is measured once it is connected, again a little later, and only for itself', async () => {
  const owner = await trial.tenant();
  const [one, other] = [await trial.machine(owner.tenantId), await trial.machine(owner.tenantId)];
  const opened: NodeId[] = [];
  const openStream = async (nodeId: NodeId) => {
    opened.push(nodeId);
    if (nodeId === other.nodeId) throw new StreamRefused('offline', 'not connected');
    return honestMachine();
  };
  while ((await next(openStream)) !== null);
  expect([...opened].sort()).toEqual([one.nodeId, other.nodeId].sort());

  const shown = async (nodeId: NodeId) => {
    const row = await getNode(trial.database, owner.tenantId, nodeId);
    return (await toNodes(trial.database, trial.domain.leaseBook, [row]))[0];
  };
  expect(await shown(one.nodeId)).toMatchObject({
    measured: { at: expect.any(String) },
    terms: { connectivity: null },
  });
  expect(await shown(other.nodeId)).toMatchObject({ measured: null, connectivity: 'low' });
  const { rows } = await trial.database.query(
    "SELECT id FROM nodes WHERE measure_at < now() + (CASE WHEN id = $1 THEN interval '4 min' ELSE interval '2 min' END)",
    [one.nodeId],
  );
  expect(rows).toEqual([]);
});

test('placement goes by the best of the latest measurements, in which an old one has no part', async () => {
  const owner = await trial.tenant();
  const { nodeId } = await trial.machine(owner.tenantId);
  await trial.database.query(`UPDATE nodes SET terms = '{"connectivity": "high"}' WHERE id = $1`, [nodeId]);
  const tier = async () => (await readMachines(trial.database, [nodeId]))[0]?.terms.connectivity;
  const old: Measurement = { roundTripMs: 1, downloadMbps: 900, uploadMbps: 900, at: '2026-11-01T00:00:00.000Z' };
  const slow = { ...old, downloadMbps: 20, uploadMbps: 20 };
  const keep = (samples: Measurement[]) =>
    trial.database.query('UPDATE nodes SET measured = $2, measure_at = now() WHERE id = $1', [
      nodeId,
      JSON.stringify(samples),
    ]);
  await keep([old, slow, slow]);
  expect(await tier()).toBe('high');
  await keep([slow, slow, slow]);
  expect(await tier()).toBe('low');
  await next(async () => honestMachine());
  const daily = `SELECT 1 FROM nodes WHERE id = $1 AND measure_at BETWEEN now() + interval '17 h' AND now() + interval '31 h'`;
  expect((await trial.database.query(daily, [nodeId])).rowCount).toBe(1);
  const { measured } = await getNode(trial.database, owner.tenantId, nodeId);
  expect(measured).toHaveLength(3);
  expect(measured.slice(0, 2)).toEqual([slow, slow]);
  const { rows } = await trial.database.query('SELECT 1 FROM machine_changes WHERE node_id = $1', [nodeId]);
  expect(rows.length).toBeGreaterThan(0);
});
