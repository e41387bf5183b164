/**
 * Counters of leases as a Prometheus server has scraped them: the raw samples, by instant queries with a range selector
 * (HTTP API, `POST /api/v1/query`), so that nothing of them is smoothed or extrapolated on the way.
 */
import type { LeaseId } from '@iocloud/contracts';
import { z } from 'zod';
import type { Counters, Sample } from '../core/metering/index.js';
import { clockGauge } from './exposition.js';
import type { CounterSource, FoundCounters } from './meter.js';

const timeoutMs = 20_000;
const maxAnswerBytes = 256 * 2 ** 20;
/** Leases in one query: some thousand samples of each. */
const leasesAtOnce = 50;

const answer = z.object({
  status: z.literal('success'),
  data: z.object({
    resultType: z.literal('matrix'),
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        values: z.array(z.tuple([z.number(), z.string()])),
      }),
    ),
  }),
});
type Series = z.infer<typeof answer>['data']['result'];

/** What a counter is multiplied by to be in the meter's unit. */
const counterOf: Record<string, { kind: keyof Counters; factor: number }> = {
  iocloud_lease_allocated_seconds_total: { kind: 'allocatedMs', factor: 1_000 },
  iocloud_lease_available_seconds_total: { kind: 'billableMs', factor: 1_000 },
  iocloud_lease_cpu_seconds_total: { kind: 'cpuMs', factor: 1_000 },
  iocloud_lease_memory_gib_seconds_total: { kind: 'mibSeconds', factor: 1_024 },
  iocloud_lease_egress_bytes_total: { kind: 'egressBytes', factor: 1 },
};

/** `url` may hold a name and a password; they go into a header and into no error. */
export function prometheusSource(url: string): CounterSource {
  const { endpoint, headers } = addressOf(url);

  const query = async (text: string, atMs: number): Promise<Series> => {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ query: text, time: (atMs / 1_000).toFixed(3) }),
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((error: Error) => {
      throw new Error(`Prometheus cannot be asked: ${(error.cause as Error | undefined)?.message ?? error.message}`);
    });
    const body = await response.text();
    if (body.length > maxAnswerBytes) throw new Error('Prometheus gives more than the meter asked for');
    if (!response.ok) throw new Error(`Prometheus answers ${response.status}: ${body.slice(0, 300)}`);
    return answer.parse(JSON.parse(body)).data.result;
  };

  return {
    leasesAtOnce,
    read: async (leases, untilMs) => {
      const found = new Map<LeaseId, FoundCounters>();
      if (leases.length === 0) return found;
      const fromMs = Math.min(...leases.map(lease => lease.fromMs));
      const range = `[${Math.ceil((untilMs - fromMs) / 1_000) + 1}s]`;
      const names = Object.keys(counterOf).join('|');
      // Ids are letters, digits and underscores: nothing in them has a meaning in a pattern.
      const selector = `{__name__=~"${names}",lease=~"${leases.map(({ leaseId }) => leaseId).join('|')}"}`;
      const clocks = clocksOf(await query(`${clockGauge}${range}`, untilMs));
      for (const { metric, values } of await query(`${selector}${range}`, untilMs)) {
        const counter = counterOf[metric.__name__ ?? ''];
        const leaseId = metric.lease as LeaseId | undefined;
        if (!counter || !leaseId) continue;
        const entry = found.get(leaseId) ?? { series: `{lease="${leaseId}"}`, samples: empty() };
        found.set(leaseId, entry);
        const offsets = clocks.get(scraped(metric));
        for (const [seconds, text] of values)
          entry.samples[counter.kind].push(sampleOf(seconds, text, offsets, counter));
      }
      return found;
    },
  };
}

const empty = (): FoundCounters['samples'] => ({
  allocatedMs: [],
  billableMs: [],
  cpuMs: [],
  mibSeconds: [],
  egressBytes: [],
});

/** One scrape gives all its samples one time, so the clock that it shows is that of each of them. */
function sampleOf(
  seconds: number,
  text: string,
  clock: ReadonlyMap<number, number> | undefined,
  { factor }: { factor: number },
): Sample {
  const value = Number(text) * factor;
  if (!(value >= 0)) throw new Error(`Prometheus has ${JSON.stringify(text)} where a counter was expected`);
  return { atMs: Math.round(clock?.get(seconds) ?? seconds * 1_000), value: Math.round(value * 1e6) / 1e6 };
}

const scraped = ({ instance = '', job = '' }: Record<string, string>) => `${job} ${instance}`;

/** For each scraped endpoint what its own clock showed at the time that the sample was given. */
function clocksOf(series: Series): Map<string, Map<number, number>> {
  return new Map(
    series.map(({ metric, values }) => [
      scraped(metric),
      new Map(values.map(([seconds, text]) => [seconds, Number(text) * 1_000])),
    ]),
  );
}

function addressOf(url: string): { endpoint: string; headers: Record<string, string> } {
  const address = new URL(url);
  const { username, password } = address;
  address.username = '';
  address.password = '';
  address.pathname = `${address.pathname.replace(/\/$/, '')}/api/v1/query`;
  const basic = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  return { endpoint: address.href, headers: username === '' ? {} : { Authorization: `Basic ${basic}` } };
}
