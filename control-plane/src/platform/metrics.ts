/**
 * Prometheus metrics of this process; docs/metrics.md lists them all, and a test holds that against what is here. As
 * OpenMetrics, so that histograms can carry the trace of one of the calls that they count.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export const registry = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>();
registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
collectDefaultMetrics({ register: registry });

const registers = [registry];

/** Which release this is. */
const build = new Gauge({ name: 'iocloud_build_info', help: 'Which release runs', labelNames: ['version'], registers });
export const sayVersion = (version: string): void => build.set({ version }, 1);

export const counter = <Name extends string = never>(name: string, help: string, labelNames: readonly Name[] = []) =>
  new Counter<Name>({ name, help, labelNames, registers });

export const gauge = <Name extends string = never>(
  name: string,
  help: string,
  labelNames: readonly Name[] = [],
  /** Called at each scrape. */
  collect?: (this: Gauge<Name>) => void,
) => new Gauge<Name>({ name, help, labelNames, registers, ...(collect ? { collect } : {}) });

/** Of what people wait for. Seconds. */
export const waitBuckets = [1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600];
/** Of what a machine does. Seconds. */
export const workBuckets = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];

/** Durations in seconds, one of which can be shown by its trace. */
export class Durations<Name extends string = never> {
  /** Of any names: the library takes an exemplar's labels for some of the series'. */
  readonly #histogram: Histogram<string>;

  constructor(name: string, help: string, labelNames: readonly Name[], buckets: number[]) {
    this.#histogram = new Histogram<string>({ name, help, labelNames, buckets, registers, enableExemplars: true });
  }

  observe(labels: Record<Name, string>, seconds: number, traceId?: string): void {
    this.#histogram.observe({
      labels,
      value: Math.max(0, seconds),
      ...(traceId === undefined ? {} : { exemplarLabels: { trace_id: traceId } }),
    });
  }
}

/** A value for every combination of a gauge that is read as a whole, so that what is no more is 0 and not what it was. */
export function setAll<Name extends string>(
  to: Gauge<Name>,
  rows: readonly { labels: Record<Name, string>; value: number }[],
): void {
  to.reset();
  for (const { labels, value } of rows) to.set(labels, value);
}

/** The values that count the most under their own names, the others together, so that labels have a bound. */
export function mostFrequent(counts: ReadonlyMap<string, number>, most: number): (name: string) => string {
  const byCount = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  const kept = new Set(byCount.slice(0, most).map(([name]) => name));
  return name => (kept.has(name) ? name : 'other');
}
