/** Usage over HTTP: events in and out, sums, counters, and whose they are. */
import { interruptionEventType, type LeaseId, usageEventType } from '@iocloud/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Trial } from '../clusters/testing/index.js';
import { newTenantKey, type TestKey } from '../test-ground.js';
import { recordAgentSamples } from './agent-samples.js';
import { hourMs, MeterTrial } from './testing/index.js';
import { UsageOverHttp } from './testing/over-http.js';

let trial: Trial;
let ground: MeterTrial;
let http: UsageOverHttp;
let renter: TestKey;
let stranger: TestKey;
beforeAll(async () => {
  trial = await Trial.start();
  ground = new MeterTrial(trial, await trial.tenant());
  http = await UsageOverHttp.start(ground);
  renter = await trial.tenant();
  stranger = await trial.tenant();
}, 60_000);
afterAll(async () => {
  http?.stop();
  await trial?.stop();
});

const iso = (ms: number) => new Date(ms).toISOString();
const ago = (hours: number) => ground.hour - hours * hourMs;
/** A renter's lease on the owner's machine. */
const rented = async (hours = 2) => ground.held(await ground.machine(), 1, ago(hours), renter);
const event = (id: string, leaseId: LeaseId, data: Record<string, unknown> = {}, type: string = usageEventType) => ({
  ...{ specversion: '1.0', id, source: '/racks/7', type },
  data: { leaseId, from: iso(ago(1.5)), until: iso(ago(0.5)), ...data },
});

describe('events that come in', () => {
  test('count once each, in whatever batch they come again', async () => {
    const { leaseId } = await rented();
    const batch = ['a', 'b', 'c'].map(id => event(`${leaseId} ${id}`, leaseId, { egressBytes: 10 }));
    const first = await http.call(ground.owner, 'usage/events', batch.slice(0, 2));
    expect([first.status, first.body]).toEqual([200, { accepted: 2, duplicates: 0 }]);
    const again = await http.call(ground.owner, 'usage/events', [...batch, ...batch]);
    expect(again.body).toEqual({ accepted: 1, duplicates: 5 });
    const one = await http.call(ground.owner, 'usage/events', batch[0], 'application/cloudevents+json');
    expect(one.body).toEqual({ accepted: 0, duplicates: 1 });
    await ground.look([leaseId]);
    const { rows } = await trial.database.query<{ sum: number; lines: number }>(
      'SELECT sum(egress_bytes)::int AS sum, count(*)::int AS lines FROM usage_lines WHERE lease_id = $1',
      [leaseId],
    );
    expect(rows).toEqual([{ sum: 30, lines: 2 }]);
  });

  test('at once from many senders count once', async () => {
    const { leaseId } = await rented();
    const batch = Array.from({ length: 50 }, (_, index) => event(`${leaseId} ${index}`, leaseId, { cpuMs: 1 }));
    const answers = await Promise.all(Array.from({ length: 8 }, () => http.call(ground.owner, 'usage/events', batch)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(answers.reduce((sum, { body }) => sum + body.accepted, 0)).toBe(50);
  });

  test('that come after their window was closed make a correcting line', async () => {
    const { leaseId, clusterId } = await rented();
    await ground.release(leaseId, ground.hour);
    await ground.end(clusterId);
    const told = event(`${leaseId} late`, leaseId, {}, interruptionEventType);
    expect((await http.call(ground.owner, 'usage/events', [told])).body).toEqual({ accepted: 1, duplicates: 0 });
    await ground.look([leaseId]);
    expect((await ground.lines(leaseId)).map(({ hour, revision, billable }) => [hour, revision, billable])).toEqual([
      [-2, 0, hourMs],
      [-2, 1, -hourMs / 2],
      [-1, 0, hourMs],
      [-1, 1, -hourMs / 2],
    ]);
  });

  test('are refused whole where one is wrong: nothing of the batch is on record', async () => {
    const { leaseId } = await rented();
    const good = event(`${leaseId} good`, leaseId);
    const wrong: [unknown, number, string][] = [
      [{ ...event('x', leaseId), specversion: '0.3' }, 400, '1.0'],
      [event('x', leaseId, { cpuMs: -1 }), 400, 'cpuMs'],
      [event('x', leaseId, { price: 1 }), 400, 'price'],
      [event('x', leaseId, { until: iso(ago(1.6)) }), 400, 'ends before it begins'],
      [event('x', leaseId, { from: iso(ago(3)) }), 400, 'was not held'],
      [event('x', leaseId, { until: iso(Date.now() + hourMs) }), 400, 'was not held'],
      [event('x', 'ls_00000000000000000000' as LeaseId), 404, 'no lease'],
      [event('x', leaseId, {}, 'com.example.other'), 400, 'type'],
    ];
    for (const [bad, status, words] of wrong) {
      const answer = await http.call(ground.owner, 'usage/events', [good, bad]);
      expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)]);
    }
    expect((await http.call(ground.owner, 'usage/events', [good], 'text/plain')).status).toBe(400);
    expect((await http.call(ground.owner, 'usage/events', [])).status).toBe(400);
    expect((await http.call(ground.owner, 'usage/events', [good])).body).toEqual({ accepted: 1, duplicates: 0 });
    const other = event(`${leaseId} good`, leaseId, { cpuMs: 5 });
    const fresh = event(`${leaseId} fresh`, leaseId);
    expect((await http.call(ground.owner, 'usage/events', [fresh, other])).status).toBe(409);
    expect((await http.call(ground.owner, 'usage/events', [fresh])).body).toEqual({ accepted: 1, duplicates: 0 });
  });

  test('are taken from whose machine it is, and from an operator, and from nobody else', async () => {
    const { leaseId } = await rented();
    const told = [event(`${leaseId} own`, leaseId)];
    expect((await http.call(renter, 'usage/events', told)).status).toBe(404);
    expect((await http.call(stranger, 'usage/events', told)).status).toBe(404);
    const member = await newTenantKey(trial.database, { role: 'member' });
    expect((await http.call(member, 'usage/events', told)).status).toBe(403);
    const operator = await newTenantKey(trial.database, { role: 'operator' });
    expect((await http.call(operator, 'usage/events', told)).body.accepted).toBe(1);
    // Each teller has its own ids: nobody can take another's.
    expect((await http.call(ground.owner, 'usage/events', told)).body.accepted).toBe(1);
  });
});

describe('a tenant reads', () => {
  test('its own usage alone: lines, events, sums', async () => {
    const { leaseId, clusterId } = await rented();
    await ground.look([leaseId]);
    const lines = (await http.call(renter, `usage/lines?clusterId=${clusterId}`)).body.items;
    expect(lines.map((line: { billableMs: number }) => line.billableMs)).toEqual([hourMs, hourMs]);
    expect(lines[0].evidence.samples.billableMs).toEqual([
      { at: iso(ago(2)), value: 0 },
      { at: iso(ago(1)), value: hourMs },
    ]);
    const exported = (await http.call(renter, `usage/events?after=${lines[0].id - 1}&limit=1`)).body;
    expect(exported).toMatchObject({
      items: [
        { specversion: '1.0', id: `usage-line-${lines[0].id}`, subject: leaseId, data: { tenantId: renter.tenantId } },
      ],
      next: String(lines[0].id),
    });
    const sums = (await http.call(renter, 'usage?by=cluster')).body.items;
    expect(sums.find(({ key }: { key: string }) => key === clusterId)).toMatchObject({
      billableMs: 2 * hourMs,
      deviceBillableMs: 2 * hourMs,
    });
    const days = (await http.call(renter, 'usage?by=day')).body.items as { key: string; billableMs: number }[];
    const all = sums.reduce((sum: number, one: { billableMs: number }) => sum + one.billableMs, 0);
    expect(days.reduce((sum, one) => sum + one.billableMs, 0)).toBe(all);
    for (const path of ['usage/lines', 'usage/events', 'usage']) {
      expect((await http.call(stranger, path)).body.items).toEqual([]);
    }
    expect((await http.call(renter, 'usage?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z')).status).toBe(400);
  });

  test('by job what ran when', async () => {
    const { leaseId, clusterId } = await rented(1);
    await ground.look([leaseId]);
    const job = async (name: string, fromHours: number, untilHours: number) => {
      const id = `jb_${name.padEnd(20, '0')}`;
      await trial.database.query(
        `INSERT INTO jobs (id, tenant_id, submission_id, phase, submission, needs, scheduling, message, ray_view, queue_at, submitted_at,
           ended_at, max_attempts) VALUES ($1, $2, $3, 'succeeded', '{}', '{}', '{}', '', '', now(), now(), now(), 1)`,
        [id, renter.tenantId, name],
      );
      await trial.database.query(
        `INSERT INTO job_attempts (id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, outcome, reserved,
           log_complete, started_at, ended_at) VALUES ($1, $1, 1, $2, $3, $1, 'ended', 'succeeded', '{}', true, $4, $5)`,
        [id, clusterId, leaseId, new Date(ago(fromHours)), new Date(ago(untilHours))],
      );
    };
    await job('train', 1, 0.25);
    await job('serve', 0.25, 0);
    const { items } = (await http.call(renter, `usage?by=job&from=${iso(ago(1))}`)).body;
    const of = (key: string) => items.find((one: { key: string }) => one.key === key)?.billableMs;
    expect([of('train'), of('serve')]).toEqual([0.75 * hourMs, 0.25 * hourMs]);
  });

  test('its own counters in exposition; who scrapes for all sees all', async () => {
    const agent = await ground.machine();
    const { leaseId } = await ground.held(agent, 2, ago(1), renter);
    const run = '8f14e45f-ceea-467f-a8e9-3f1c0e4f6a11';
    const told = { leaseId, nodeId: agent.nodeId, cpuMs: 1_500, mibSeconds: 2_048, egressBytes: 7, ageSeconds: 1 };
    await recordAgentSamples(trial.database, 3600, [{ ...told, run }]);
    const read = async (key: TestKey) => {
      const { text } = await http.call(key, 'metrics/leases');
      const value = (name: string) =>
        Number(new RegExp(`^${name}\\{[^}]*${leaseId}[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1]);
      return { text, value };
    };
    const before = await read(renter);
    expect(before.text).toMatch(/role="head",node="nd_\w+",model="NVIDIA H100 80GB HBM3"/);
    const { value } = before;
    expect(value('iocloud_lease_cpu_seconds_total')).toBe(1.5);
    expect(value('iocloud_lease_memory_gib_seconds_total')).toBe(2);
    expect(value('iocloud_lease_egress_bytes_total')).toBe(7);
    expect(value('iocloud_lease_gpu_seconds_available_total')).toBe(2 * value('iocloud_lease_available_seconds_total'));
    expect(value('iocloud_lease_gpu_seconds_allocated_total')).toBeGreaterThanOrEqual(7_200);
    expect((await read(renter)).value('iocloud_lease_available_seconds_total')).toBeGreaterThanOrEqual(
      value('iocloud_lease_available_seconds_total'),
    );
    expect((await read(stranger)).text).not.toContain(leaseId);
    expect((await read(await newTenantKey(trial.database, { role: 'operator' }))).text).toContain(leaseId);
  });
});
