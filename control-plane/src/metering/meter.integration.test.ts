/** The meter over leases on record, in a real database. */
import { randomUUID } from 'node:crypto';
import type { LeaseId, NodeId } from '@iocloud/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Trial } from '../clusters/testing/index.js';
import { markOffline, markOnline } from '../inventory/presence.js';
import type { Database, Transaction } from '../platform/index.js';
import { recordAgentSamples } from './agent-samples.js';
import { dueLeases, endedLeases } from './lines.js';
import { hourMs, MeterTrial } from './testing/index.js';

let trial: Trial;
let ground: MeterTrial;
beforeAll(async () => {
  trial = await Trial.start();
  ground = new MeterTrial(trial, await trial.tenant());
}, 60_000);
afterAll(() => trial?.stop());

const db = () => trial.database;
/** The running hour's beginning less so many hours. */
const ago = (hours: number) => ground.hour - hours * hourMs;

describe('windows', () => {
  test('each hour that is over has one line, the running one has none, and a second look adds nothing', async () => {
    const { leaseId, clusterId } = await ground.held(await ground.machine(), 2, ago(2.5));
    expect(await ground.look([leaseId])).toEqual([clusterId]);
    const lines = await ground.lines(leaseId);
    expect(lines.map(({ hour, revision, billable, devices }) => [hour, revision, billable, devices])).toEqual([
      [-3, 0, hourMs / 2, hourMs],
      [-2, 0, hourMs, 2 * hourMs],
      [-1, 0, hourMs, 2 * hourMs],
    ]);
    expect(lines[0]?.evidence).toMatchObject({ source: 'control-plane', closedUntil: new Date(ago(2)).toISOString() });
    expect(ground.told).toContain(clusterId);
    expect(await ground.look([leaseId])).toEqual([]);
    expect(await ground.lines(leaseId)).toHaveLength(3);
  });

  test('a window is not closed before its grace is over, and is due then', async () => {
    const { leaseId } = await ground.held(await ground.machine(), 1, ago(1));
    const sinceHourSeconds = Math.ceil((Date.now() - ground.hour) / 1_000);
    await ground.look([leaseId], { graceSeconds: sinceHourSeconds + 600 });
    expect(await ground.lines(leaseId)).toEqual([]);
    expect(await dueLeases(db(), 100)).not.toContain(leaseId);
    const { rows } = await db().query<{ at: Date }>('SELECT look_at AS at FROM metering_leases WHERE lease_id = $1', [
      leaseId,
    ]);
    expect(rows[0]?.at.getTime()).toBe(ground.hour + (sinceHourSeconds + 600) * 1_000);
  });

  test('the last window is closed as soon as a lease is released, to the millisecond, and wakes who asked', async () => {
    const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ago(1) + 1_234);
    await db().query('DELETE FROM outbox');
    await ground.release(leaseId, ground.hour - 4_321);
    const { rows } = await db().query('SELECT topic, key FROM outbox');
    expect(rows).toEqual([{ topic: 'metering', key: clusterId }]);
    await ground.end(clusterId);
    expect((await ground.lines(leaseId)).map(({ billable }) => billable)).toEqual([hourMs - 1_234 - 4_321]);
    await ground.end(clusterId);
    expect(await ground.lines(leaseId)).toHaveLength(1);
    // Microseconds of its release do not keep it open.
    await db().query(`UPDATE leases SET released_at = released_at + interval '7 microseconds' WHERE id = $1`, [
      leaseId,
    ]);
    expect(await endedLeases(db(), clusterId)).toEqual([]);
  });

  test('a lease that never became ready was held and is not billed', async () => {
    const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ago(1));
    await db().query('UPDATE leases SET ready_at = NULL WHERE id = $1', [leaseId]);
    await ground.release(leaseId, ago(0.5));
    await ground.end(clusterId);
    expect((await ground.lines(leaseId)).map(({ billable, allocated }) => [billable, allocated])).toEqual([
      [0, hourMs / 2],
    ]);
  });

  test('a lease keeps the windows that it began with', async () => {
    const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ago(1));
    await ground.look([leaseId], { windowSeconds: 1800 });
    await ground.release(leaseId, ground.hour);
    await ground.end(clusterId);
    const inOld = (await ground.lines(leaseId)).filter(({ hour }) => hour < 0);
    expect(inOld.map(({ billable }) => billable)).toEqual([hourMs / 2, hourMs / 2]);
  });

  test('a release that is dated before what is closed already takes back what came after it', async () => {
    const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ago(3));
    await ground.look([leaseId]);
    await ground.release(leaseId, ago(1.5));
    await ground.end(clusterId);
    expect([...(await ground.billable(leaseId))]).toEqual([
      [-3, hourMs],
      [-2, hourMs / 2],
      [-1, 0],
    ]);
  });
});

describe('killed anywhere', () => {
  /** Breaks in its n-th statement. */
  function failing(nth: number): Database {
    let count = 0;
    const breakDown = () => {
      count += 1;
      if (count === nth) throw new Error('killed');
    };
    const real = db();
    const guard = <T extends object>(target: T): T =>
      new Proxy(target, {
        get: (object, name) => {
          const value = Reflect.get(object, name);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            if (name === 'query') breakDown();
            return Reflect.apply(value, object, args);
          };
        },
      });
    return new Proxy(real, {
      get: (object, name) =>
        name === 'transaction'
          ? (work: (tx: Transaction) => Promise<unknown>) => real.transaction(tx => work(guard(tx)))
          : Reflect.get(guard(object), name),
    }) as Database;
  }

  test('nothing of a look is on record, and the next makes all of it', async () => {
    const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ago(2));
    let killed = 0;
    for (let nth = 1; ; nth += 1) {
      const outcome = await ground.look([leaseId], { database: failing(nth) }).catch((error: Error) => error.message);
      if (outcome !== 'killed') {
        expect(outcome).toEqual([clusterId]);
        break;
      }
      killed += 1;
      expect(await ground.lines(leaseId)).toEqual([]);
    }
    expect(killed).toBeGreaterThan(8);
    expect((await ground.lines(leaseId)).map(({ revision }) => revision)).toEqual([0, 0]);
  });

  test('replicas that look at once write each line once', async () => {
    const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ago(2));
    await Promise.all(Array.from({ length: 8 }, () => ground.look([leaseId])));
    await ground.release(leaseId, ground.hour);
    await Promise.all(Array.from({ length: 8 }, () => ground.end(clusterId)));
    expect((await ground.lines(leaseId)).map(({ hour, revision }) => [hour, revision])).toEqual([
      [-2, 0],
      [-1, 0],
    ]);
  });
});

describe('a renter does not pay', () => {
  test('while the machine was silent, whether or not it was declared offline', async () => {
    const agent = await ground.machine();
    const { leaseId } = await ground.held(agent, 1, ago(3));
    await ground.heartbeat(agent.nodeId, ago(3));
    for (let atMs = ago(3) + 3_000; atMs <= ago(2.75); atMs += 3_000) await ground.heartbeat(agent.nodeId, atMs);
    await db().transaction(tx => markOffline(tx, agent.nodeId));
    await ground.look([leaseId]);
    expect([...(await ground.billable(leaseId))]).toEqual([
      [-3, hourMs / 4],
      [-2, 0],
      [-1, 0],
    ]);
    // Online again: what came after its silence counts, the silence does not.
    await db().transaction(tx =>
      markOnline(tx, [{ nodeId: agent.nodeId, inventory: {} as never, release: null }], { waits: true }),
    );
    await ground.look([leaseId]);
    expect((await ground.billable(leaseId)).get(-1)).toBe(0);
  });

  test('while a machine that hosts only the head was silent', async () => {
    const agent = await ground.machine();
    const { leaseId } = await ground.held(agent, 1, ago(2));
    const other = await ground.machine();
    const worker = `ls_${randomUUID().replaceAll('-', '').slice(0, 20)}`;
    await db().query(
      `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, phase, cpus, memory_bytes, spec,
         created_at, ready_at)
       SELECT $2, tenant_id, cluster_id, $3, 'worker', 'w', 0, 'ready', 1, 0, '{}', created_at, ready_at FROM leases WHERE id = $1`,
      [leaseId, worker, other.nodeId],
    );
    await ground.heartbeat(agent.nodeId, ago(1.75));
    await ground.heartbeat(agent.nodeId, ago(1.25));
    await ground.heartbeat(agent.nodeId, ago(1.25) + 1_000);
    await ground.look([leaseId, worker as LeaseId]);
    expect((await ground.billable(worker as LeaseId)).get(-2)).toBe(hourMs / 4 + 1_000);
  });

  const verdict = (nodeId: NodeId, value: string, atMs: number, id = `vf_${randomUUID()}`) =>
    db()
      .query(
        `INSERT INTO verifications (id, node_id, tenant_id, device_index, device_uuid, device_model, hour, due_at)
         SELECT $1, id, tenant_id, 0, 'GPU-0', 'H100', now(), now() FROM nodes WHERE id = $2`,
        [id, nodeId],
      )
      .then(() =>
        db().query(`UPDATE verifications SET state = 'judged', verdict = $2, judged_at = $3 WHERE id = $1`, [
          id,
          value,
          new Date(atMs),
        ]),
      )
      .then(() => id);

  test('from a failed check of the machine until one is passed', async () => {
    const agent = await ground.machine();
    const { leaseId } = await ground.held(agent, 1, ago(2));
    await verdict(agent.nodeId, 'failed', ago(1.75));
    await verdict(agent.nodeId, 'failed', ago(1.5));
    await verdict(agent.nodeId, 'passed', ago(1.25));
    await ground.look([leaseId]);
    expect([...(await ground.billable(leaseId))]).toEqual([
      [-2, hourMs / 2],
      [-1, hourMs],
    ]);
  });

  test('and does pay where a failure was taken back, by a correcting line', async () => {
    const agent = await ground.machine();
    const { leaseId, clusterId } = await ground.held(agent, 1, ago(2));
    const id = await verdict(agent.nodeId, 'failed', ago(1.5));
    await ground.release(leaseId, ground.hour);
    await ground.end(clusterId);
    expect([...(await ground.billable(leaseId))]).toEqual([
      [-2, hourMs / 2],
      [-1, 0],
    ]);
    await db().query(`UPDATE verifications SET verdict = 'void' WHERE id = $1`, [id]);
    expect(await dueLeases(db(), 1_000)).toContain(leaseId);
    await ground.look([leaseId]);
    expect((await ground.lines(leaseId)).map(({ hour, revision, billable }) => [hour, revision, billable])).toEqual([
      [-2, 0, hourMs / 2],
      [-2, 1, hourMs / 2],
      [-1, 0, 0],
      [-1, 1, hourMs],
    ]);
  });

  test('while the head did not answer, also when it never did again', async () => {
    const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ago(2));
    const answered = (atMs: number) =>
      db().query(
        `INSERT INTO cluster_loads (cluster_id, load, read_at) VALUES ($1, '{}', $2)
         ON CONFLICT (cluster_id) DO UPDATE SET read_at = excluded.read_at`,
        [clusterId, new Date(atMs)],
      );
    await answered(ago(1.75));
    await answered(ago(1.5));
    await answered(ago(1.5) + 30_000);
    await ground.release(leaseId, ground.hour);
    await db().query('DELETE FROM cluster_loads WHERE cluster_id = $1', [clusterId]);
    await ground.end(clusterId);
    expect([...(await ground.billable(leaseId))]).toEqual([
      [-2, hourMs / 4 + 30_000],
      [-1, 0],
    ]);
  });

  test('for what comes after the Ray node has ended, or was told to', async () => {
    const [exited, ended] = [
      await ground.held(await ground.machine(), 1, ago(1)),
      await ground.held(await ground.machine(), 1, ago(1)),
    ];
    await db().query(`UPDATE leases SET phase = 'exited', exited_at = $2 WHERE id = $1`, [
      exited.leaseId,
      new Date(ago(0.5)),
    ]);
    await ground.release(exited.leaseId, ground.hour);
    await ground.end(exited.clusterId);
    expect([...(await ground.billable(exited.leaseId))]).toEqual([[-1, hourMs / 2]]);
    await db().query('UPDATE leases SET desired = false WHERE id = $1', [ended.leaseId]);
    const { rows } = await db().query<{ at: Date }>(
      `SELECT began_at AS at FROM usage_interruptions WHERE subject = $1 AND reason = 'ending'`,
      [ended.leaseId],
    );
    await db().query("UPDATE leases SET released_at = now() + interval '10 s' WHERE id = $1", [ended.leaseId]);
    await ground.end(ended.clusterId);
    const sum = [...(await ground.billable(ended.leaseId)).values()].reduce((a, b) => a + b, 0);
    expect(sum).toBe((rows[0]?.at.getTime() ?? 0) - ago(1));
  });
});

describe('what agents count', () => {
  const usage = (leaseId: LeaseId, nodeId: NodeId, run: string, atMs: number, cpuMs: number) => ({
    ...{ leaseId, nodeId, run, cpuMs, mibSeconds: 2 * cpuMs, egressBytes: 3 * cpuMs },
    ageSeconds: (Date.now() - atMs) / 1_000,
  });

  test('lands in the windows in which it was counted; what comes late, twice and in disorder makes a correcting line', async () => {
    const agent = await ground.machine();
    const { leaseId, clusterId } = await ground.held(agent, 1, ago(2));
    const [first, second] = [randomUUID(), randomUUID()];
    const told = [
      usage(leaseId, agent.nodeId, first, ago(1.5), 1_000),
      usage(leaseId, agent.nodeId, first, ago(1) - 60_000, 2_000),
      // The agent was started anew and counts from nothing.
      usage(leaseId, agent.nodeId, second, ago(0.5), 4_000),
    ];
    await recordAgentSamples(db(), 3600, told.slice(0, 1));
    await ground.release(leaseId, ground.hour);
    await ground.end(clusterId);
    expect((await ground.lines(leaseId)).map(({ cpu }) => cpu)).toEqual([1_000, 0]);
    await recordAgentSamples(db(), 3600, [...told.slice(1).reverse(), ...told]);
    expect(await dueLeases(db(), 1_000)).toContain(leaseId);
    await ground.look([leaseId]);
    const sum = (await ground.lines(leaseId)).reduce((total, { cpu }) => total + cpu, 0);
    expect(sum).toBe(6_000);
    const again = await ground.look([leaseId]);
    expect(again).toEqual([]);
  });

  test('is that of leases on the same machine alone', async () => {
    const { leaseId } = await ground.held(await ground.machine(), 1, ago(1));
    const other = await ground.machine();
    await recordAgentSamples(db(), 3600, [usage(leaseId, other.nodeId, randomUUID(), ago(0.5), 9_000)]);
    const { rows } = await db().query('SELECT 1 FROM lease_samples WHERE lease_id = $1', [leaseId]);
    expect(rows).toEqual([]);
  });
});

test('lines are only ever added', async () => {
  await expect(db().query('UPDATE usage_lines SET cpu_ms = 0')).rejects.toThrow('append-only');
  await expect(db().query('DELETE FROM usage_interruptions')).rejects.toThrow('append-only');
  await expect(db().query('TRUNCATE usage_events')).rejects.toThrow('append-only');
});
