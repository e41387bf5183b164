/** Counters by way of a real Prometheus, and by one that misbehaves. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LeaseId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Trial } from '../clusters/testing/index.js';
import { eventually } from '../jobs/testing/eventually.js';
import { newTenantKey } from '../test-ground.js';
import { prometheusSource } from './prometheus.js';
import { hourMs, MeterTrial } from './testing/index.js';
import { UsageOverHttp } from './testing/over-http.js';
import { prometheusProgram, startPrometheus } from './testing/prometheus.js';

let trial: Trial;
let ground: MeterTrial;
let http: UsageOverHttp;
beforeAll(async () => {
  trial = await Trial.start();
  ground = new MeterTrial(trial, await trial.tenant());
  http = await UsageOverHttp.start(ground);
}, 60_000);
afterAll(async () => {
  http?.stop();
  await trial?.stop();
});

const real = prometheusProgram === undefined ? test.skip : test;
real(
  'what a real Prometheus has scraped is billed, and the end of a lease to the millisecond',
  async () => {
    const operator = await newTenantKey(trial.database, { role: 'operator' });
    const access = { target: http.address, apiKey: operator.apiKey, scrapeInterval: '200ms' };
    const prometheus = await startPrometheus(prometheusProgram ?? '', access);
    try {
      const { leaseId, clusterId } = await ground.held(await ground.machine(), 2, Date.now() - 500);
      const source = prometheusSource(prometheus.url);
      const wiring = { prometheus: source, windowSeconds: 2, graceSeconds: 1 };
      const lines = await eventually(async () => {
        await ground.look([leaseId], wiring);
        const found = (await ground.lines(leaseId)).filter(({ evidence }) => evidence.source === 'prometheus');
        // The first began within the window; the second is a whole one, between samples of which none lies on its edges.
        expect(found.filter(({ revision }) => revision === 0).length).toBeGreaterThanOrEqual(2);
        return found;
      });
      expect(lines[1]?.billable).toBeGreaterThan(1_900);
      expect(lines[1]?.billable).toBeLessThanOrEqual(2_000);
      expect(lines[1]?.devices).toBe(2 * (lines[1]?.billable ?? 0));

      const { rows } = await trial.database.query<{ at: Date; ready: Date }>(
        'SELECT now() AS at, ready_at AS ready FROM leases WHERE id = $1',
        [leaseId],
      );
      const heldMs = (rows[0]?.at.getTime() ?? 0) - (rows[0]?.ready.getTime() ?? 0);
      await trial.database.query(
        `INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at) VALUES ('lease', $1, 'ending', $2)`,
        [leaseId, rows[0]?.at],
      );
      await ground.release(leaseId, rows[0]?.at.getTime() ?? 0);
      const sum = async () => [...(await ground.billable(leaseId)).values()].reduce((total, ms) => total + ms, 0);
      await ground.end(clusterId, wiring);
      // By now what Prometheus has said of whole windows stands, and the rest is of the record: near, not exact.
      expect(Math.abs((await sum()) - heldMs)).toBeLessThan(500);
      await ground.look([leaseId], wiring);
      expect(await sum()).toBe(heldMs);
    } finally {
      await prometheus.stop();
    }
  },
  60_000,
);

/** Answers each query by what is found for its metric. */
async function pretended(
  answer: (query: string) => { status: number; body: string },
): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', chunk => {
      body += chunk;
    });
    request.on('end', () => {
      const found = answer(new URLSearchParams(body).get('query') ?? '');
      response.writeHead(found.status).end(found.body);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix`, server };
}
const matrix = (result: unknown[]) => ({
  status: 200,
  body: JSON.stringify({ status: 'success', data: { resultType: 'matrix', result } }),
});

test('samples of a Prometheus whose clock is wrong, and of two replicas, come to what the replicas said', async () => {
  const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ground.hour - hourMs);
  const skewSeconds = 1_800;
  const series = (instance: string, shiftSeconds: number) => {
    const times = Array.from(
      { length: 62 },
      (_, minute) => (ground.hour - hourMs) / 1_000 + minute * 60 + shiftSeconds,
    );
    const begin = (ground.hour - hourMs) / 1_000;
    return {
      clock: {
        metric: { __name__: 'iocloud_metering_clock_seconds', instance },
        values: times.map(time => [time + skewSeconds, String(time)]),
      },
      counters: ['iocloud_lease_allocated_seconds_total', 'iocloud_lease_available_seconds_total'].map(__name__ => ({
        metric: { __name__, lease: leaseId, instance },
        // The other replica lags by a second.
        values: times.map(time => [time + skewSeconds, String(time - begin - (instance === 'a' ? 0 : 1))]),
      })),
    };
  };
  const all = [series('a', 0), series('b', 17)];
  const { url, server } = await pretended(query =>
    query.startsWith('iocloud_metering_clock')
      ? matrix(all.map(one => one.clock))
      : matrix(all.flatMap(one => one.counters)),
  );
  try {
    await ground.look([leaseId], { prometheus: prometheusSource(url) });
    const lines = await ground.lines(leaseId);
    expect(lines.map(({ hour, billable }) => [hour, billable])).toEqual([[-1, hourMs]]);
    expect(lines[0]?.evidence.source).toBe('prometheus');
  } finally {
    server.close();
    await ground.release(leaseId, ground.hour);
    await ground.end(clusterId);
  }
});

test('a Prometheus that does not answer stops no release, and nothing is taken for nothing', async () => {
  const { leaseId, clusterId } = await ground.held(await ground.machine(), 1, ground.hour - hourMs);
  const { url, server } = await pretended(() => ({ status: 503, body: 'starting up' }));
  try {
    const wiring = { prometheus: prometheusSource(url) };
    await expect(ground.look([leaseId], wiring)).rejects.toThrow('Prometheus answers 503: starting up');
    expect(await ground.lines(leaseId)).toEqual([]);
    await ground.release(leaseId, ground.hour);
    await ground.end(clusterId, wiring);
    expect((await ground.lines(leaseId)).map(({ billable }) => billable)).toEqual([hourMs]);
  } finally {
    server.close();
  }
  const gone = prometheusSource(url.replace('http://', 'http://name:secret@'));
  const failure = await gone
    .read([{ leaseId: leaseId as LeaseId, fromMs: 0 }], 1_000)
    .catch((error: Error) => error.message);
  expect(failure).toMatch(/^Prometheus cannot be asked: /);
  expect(failure).not.toContain('secret');
});
