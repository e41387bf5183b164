/**
 * (d) A real Prometheus in the loop: how long after the end of a window its lines are on record, and how far what was
 * billed of a lease is from the time for which it was held. Beside it the same leases without a Prometheus.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startPostgres } from '@iocloud/cli';
import { openTrialMetering, startPrometheus, type TrialMetering } from '@iocloud/control-plane/metering/testing';
import { median, percentile, report } from './measure.js';

const { values: options } = parseArgs({
  options: {
    leases: { type: 'string', default: '200' },
    windows: { type: 'string', default: '5' },
    window: { type: 'string', default: '4' },
    grace: { type: 'string', default: '1' },
  },
});
const [windowSeconds, graceSeconds, windows] = [Number(options.window), Number(options.grace), Number(options.windows)];
const lookEveryMs = 100;

async function lags(
  metering: TrialMetering,
  prometheusUrl: string | undefined,
): Promise<{ lagMs: number[]; offMs: number[] }> {
  const leaseIds = await metering.addLeases(Number(options.leases), new Date());
  const seen = new Map<number, number>();
  const deadline = Date.now() + (windows + 3) * windowSeconds * 1_000 + 60_000;
  while (seen.size < windows + 1) {
    if (Date.now() > deadline) throw new Error('windows are not closed in time');
    const settings = { windowSeconds, graceSeconds };
    await metering.meterAll(prometheusUrl === undefined ? settings : { ...settings, prometheusUrl });
    const { rows } = await metering.database.query<{ start: Date; leases: number }>(
      `SELECT window_start AS start, count(*)::int AS leases FROM usage_lines
       WHERE lease_id = ANY($1) AND revision = 0 GROUP BY 1`,
      [leaseIds],
    );
    for (const { start, leases } of rows) {
      if (leases === leaseIds.length && !seen.has(start.getTime())) seen.set(start.getTime(), Date.now());
    }
    await pause(lookEveryMs);
  }
  // The first window is a part of one.
  const whole = [...seen].sort(([left], [right]) => left - right).slice(1);
  const { rows } = await metering.database.query<{ off: number }>(
    `SELECT abs(sum(billable_ms) - $2)::int AS off FROM usage_lines
     WHERE lease_id = ANY($1) AND window_start = ANY($3) GROUP BY lease_id, window_start`,
    [leaseIds, windowSeconds * 1_000, whole.slice(0, -1).map(([start]) => new Date(start))],
  );
  // So that the next run does not meter them too.
  await metering.database.query('UPDATE metering_leases SET look_at = NULL WHERE lease_id = ANY($1)', [leaseIds]);
  await metering.database.query("UPDATE leases SET released_at = now() - interval '1 day' WHERE id = ANY($1)", [
    leaseIds,
  ]);
  return {
    lagMs: whole.map(([start, atMs]) => atMs - start - windowSeconds * 1_000),
    offMs: rows.map(({ off }) => off),
  };
}

const program = process.env.IOCLOUD_TEST_PROMETHEUS;
if (program === undefined)
  throw new Error('IOCLOUD_TEST_PROMETHEUS names no Prometheus: node scripts/setup.mjs --tests');
const directory = await mkdtemp(join(tmpdir(), 'iocloud-scrape-bench-'));
const server = await startPostgres({ dataDir: join(directory, 'postgres') });
const metering = await openTrialMetering(server.url);
const access = { target: metering.address, apiKey: metering.operatorKey, scrapeInterval: '500ms' };
const prometheus = await startPrometheus(program, access);
try {
  const without = await lags(metering, undefined);
  const withPrometheus = await lags(metering, prometheus.url);
  const figures = ({ lagMs, offMs }: { lagMs: number[]; offMs: number[] }) => ({
    lagMs: { median: median(lagMs), slowest: Math.max(...lagMs) },
    beyondGraceMs: median(lagMs) - graceSeconds * 1_000,
    offMs: { median: median(offMs), p99: percentile(offMs, 99), worst: Math.max(...offMs) },
  });
  report('scrape-to-bill', {
    peer: 'the same without a Prometheus: the control plane reads its own counters',
    leases: Number(options.leases),
    windowSeconds,
    graceSeconds,
    scrapeInterval: access.scrapeInterval,
    lookEveryMs,
    ours: figures(withPrometheus),
    without: figures(without),
    ratio: median(withPrometheus.lagMs) / median(without.lagMs),
    loadAverage: loadavg()[0],
    cpus: cpus().length,
  });
} finally {
  await prometheus.stop();
  await metering.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
}
