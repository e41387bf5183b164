import { randomUUID } from 'node:crypto';
import type { AgentMessage, NodeId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Trial } from '../clusters/testing/index.js';
import { deviceMetrics } from './device-metrics.js';
import { forgetOld, latestTelemetry, TelemetryBook, telemetryOf } from './telemetry.js';

type Message = Extract<AgentMessage, { type: 'telemetry' }>;
type Sample = Message['samples'][number];

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
afterAll(() => trial.stop());

const sample = (sequence: number, ageMs: number, changes: Partial<Sample['devices'][number]> = {}): Sample => ({
  sequence,
  ageMs,
  machine: {
    cpuUsage: 0.5,
    load1: 1,
    memoryAvailableBytes: 2 ** 30,
    diskFreeBytes: 2 ** 31,
    diskTotalBytes: 2 ** 32,
    receivedBytes: 1_000 * sequence,
    sentBytes: null,
    agentCpuSeconds: 1,
    agentMemoryBytes: 50 * 2 ** 20,
  },
  leases: [],
  devices: [
    {
      index: 0,
      utilization: 0.9,
      memoryUsedBytes: 2 ** 34,
      temperatureCelsius: 71,
      powerWatts: 400,
      powerLimitWatts: 700,
      throttled: ['thermal'],
      eccCorrected: 2,
      eccUncorrected: null,
      xids: { 79: 1 },
      ...changes,
    },
  ],
});
const message = (run: string, ...samples: Sample[]): Message => ({ type: 'telemetry', run, samples });
const book = (keptHours = 6) => new TelemetryBook(trial.database, keptHours, () => performance.now());
const kept = async (nodeId: NodeId) =>
  (await telemetryOf(trial.database, nodeId, new Date(0), 1_000)).map(({ machine }) => machine.receivedBytes);
const simulatedGpu = {
  index: 0,
  uuid: 'GPU-1',
  vendor: 'nvidia' as const,
  model: 'NVIDIA H100 80GB HBM3',
  memoryBytes: 80 * 2 ** 30,
  simulated: true,
};

test('what an agent sends again counts once, and what it kept while it was not heard has its own time', async () => {
  const { nodeId } = await trial.machine((await trial.tenant()).tenantId);
  const [records, run] = [book(), randomUUID()];
  const old = sample(1, 3_600_000);
  expect(await records.record(nodeId, message(run, old, sample(2, 30_000)))).toBe(2);
  // Its confirmation was lost; and its agent has started anew since.
  expect(
    await records.record(nodeId, message(run, { ...old, ageMs: 3_600_400 }, sample(2, 30_400), sample(3, 0))),
  ).toBe(3);
  await records.record(nodeId, message(randomUUID(), sample(1, 10_000)));
  expect(await kept(nodeId)).toEqual([1_000, 2_000, 1_000, 3_000]);
  const [first] = await telemetryOf(trial.database, nodeId, new Date(0), 1);
  const agoMs = Date.now() - Date.parse(first?.at ?? '');
  expect(Math.abs(agoMs - 3_600_000)).toBeLessThan(60_000);
});

test('what is older than it is kept is confirmed and forgotten', async () => {
  const { nodeId } = await trial.machine((await trial.tenant()).tenantId);
  const hour = 3_600_000;
  const records = book(1);
  expect(await records.record(nodeId, message(randomUUID(), sample(1, 2 * hour), sample(2, hour / 2)))).toBe(2);
  expect(await kept(nodeId)).toEqual([2_000]);
  await trial.database.query("UPDATE node_telemetry SET at = at - interval '1 hour' WHERE node_id = $1", [nodeId]);
  expect(await forgetOld(trial.database, 1)).toBeGreaterThan(0);
  expect(await kept(nodeId)).toEqual([]);
});

test('a machine that sends far more than it can have is cut off, and others are not', async () => {
  const owner = await trial.tenant();
  const [flood, calm] = [await trial.machine(owner.tenantId), await trial.machine(owner.tenantId)];
  let nowMs = 0;
  const records = new TelemetryBook(trial.database, 1, () => nowMs);
  const run = randomUUID();
  const many = (from: number) => message(run, ...Array.from({ length: 60 }, (_, index) => sample(from + index, 0)));
  for (let from = 1; from <= 480; from += 60) await records.record(flood.nodeId, many(from));
  await expect(records.record(flood.nodeId, many(481))).rejects.toThrow('more telemetry than one can have');
  await records.record(calm.nodeId, many(1));
  nowMs += 3_600_000;
  await records.record(flood.nodeId, many(481));
});

test("Prometheus sees the newest of each machine, and a tenant its own machines' alone", async () => {
  const [mine, theirs] = [await trial.tenant(), await trial.tenant()];
  const own = await trial.machine(mine.tenantId, { devices: [simulatedGpu] });
  const other = await trial.machine(theirs.tenantId, { devices: [simulatedGpu] });
  const records = book();
  for (const { nodeId } of [own, other]) {
    await records.record(nodeId, message(randomUUID(), sample(1, 30_000, { utilization: 0.1 }), sample(2, 0)));
  }
  const { text } = await deviceMetrics(await latestTelemetry(trial.database, mine.tenantId));
  const line = (name: string) => text.split('\n').filter(one => one.startsWith(`${name}{`));
  expect(text).not.toContain(other.nodeId);
  expect(line('iocloud_device_utilization_ratio')).toEqual([
    expect.stringMatching(/node="nd_.*device="0",uuid="GPU-1",model="NVIDIA H100 80GB HBM3".* 0\.9$/),
  ]);
  expect(line('iocloud_device_throttled')).toEqual([expect.stringMatching(/reason="thermal".* 1$/)]);
  expect(line('iocloud_device_ecc_errors_total')).toEqual([expect.stringMatching(/kind="corrected".* 2$/)]);
  expect(line('iocloud_device_xid_errors_total')).toEqual([expect.stringMatching(/xid="79".* 1$/)]);
  expect(line('iocloud_node_network_receive_bytes_total')).toEqual([expect.stringMatching(/ 2000$/)]);
  expect(line('iocloud_node_network_transmit_bytes_total')).toEqual([]);
  expect((await latestTelemetry(trial.database, null)).map(({ nodeId }) => nodeId)).toEqual(
    expect.arrayContaining([own.nodeId, other.nodeId]),
  );

  // What is old says nothing of now: the machine is still there, its figures are not.
  await trial.database.query("UPDATE node_telemetry SET at = at - interval '5 minutes' WHERE node_id = $1", [
    own.nodeId,
  ]);
  const later = (await deviceMetrics(await latestTelemetry(trial.database, mine.tenantId))).text;
  expect(later).toMatch(/iocloud_node_up\{/);
  expect(later).not.toMatch(/^iocloud_device_utilization_ratio\{/m);
});
