/** What the registry of metrics said at one time, and how figures are read out of it. Pure. */

/** As prom-client gives it; of histograms each bucket, sum and count is a value with its own `metricName`. */
export interface Metric {
  name: string;
  values: readonly {
    value: number;
    labels: Readonly<Record<string, string | number | undefined>>;
    metricName?: string;
  }[];
}

type Labels = Readonly<Record<string, string>>;

export class Sample {
  private readonly series = new Map<string, { value: number; labels: Readonly<Record<string, unknown>> }[]>();

  constructor(
    readonly atMs: number,
    metrics: readonly Metric[],
  ) {
    for (const metric of metrics) {
      for (const { value, labels, metricName } of metric.values) {
        const name = metricName ?? metric.name;
        const known = this.series.get(name);
        if (known) known.push({ value, labels });
        else this.series.set(name, [{ value, labels }]);
      }
    }
  }

  /** Values of the series that have these labels; none if nothing is exported under that name (yet). */
  values(name: string, labels: Labels = {}): { value: number; labels: Readonly<Record<string, unknown>> }[] {
    const all = this.series.get(name) ?? [];
    return all.filter(each => Object.entries(labels).every(([label, value]) => each.labels[label] === value));
  }

  /** Null: there is no such series. */
  sum(name: string, labels: Labels = {}): number | null {
    const found = this.values(name, labels);
    return found.length === 0 ? null : found.reduce((total, { value }) => total + value, 0);
  }

  max(name: string, labels: Labels = {}): number | null {
    const found = this.values(name, labels);
    return found.length === 0 ? null : Math.max(...found.map(({ value }) => value));
  }
}

/** A second of a counter, between two samples. Null: it was not there, or has begun anew. */
export function rate(before: Sample | null, now: Sample, name: string, labels: Labels = {}): number | null {
  const [from, to] = [before?.sum(name, labels) ?? null, now.sum(name, labels)];
  const seconds = before ? (now.atMs - before.atMs) / 1_000 : 0;
  if (from === null || to === null || seconds <= 0 || to < from) return null;
  return (to - from) / seconds;
}

/** Mean of what a histogram has seen between two samples. Null: nothing. */
export function mean(before: Sample | null, now: Sample, name: string, labels: Labels = {}): number | null {
  const count = rate(before, now, `${name}_count`, labels);
  const sum = rate(before, now, `${name}_sum`, labels);
  return count === null || sum === null || count === 0 ? null : sum / count;
}
