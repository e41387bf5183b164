/** The few figures that say most about the system, each a line over time. Names are those of docs/metrics.md. */
import { mean, rate, type Sample } from './sample.js';

export type FigureUnit = 'count' | 'perSecond' | 'seconds' | 'share' | 'bytes';

export interface Figure {
  id: string;
  title: string;
  unit: FigureUnit;
  /** Of one sample and the one before it. Null: nothing to show. */
  of(now: Sample, before: Sample | null): number | null;
}

const serverErrors = (now: Sample, before: Sample | null): number | null => {
  const codes = new Set(now.values('iocloud_http_requests_total').map(({ labels }) => String(labels.code)));
  const rates = [...codes]
    .filter(code => code.startsWith('5'))
    .map(code => rate(before, now, 'iocloud_http_requests_total', { code }));
  return before === null ? null : rates.reduce<number>((total, each) => total + (each ?? 0), 0);
};

const leased = (now: Sample): number | null => {
  const held = now.sum('iocloud_devices', { state: 'leased' }) ?? 0;
  const all = held + (now.sum('iocloud_devices', { state: 'free' }) ?? 0);
  return all === 0 ? null : held / all;
};

export const figures: readonly Figure[] = [
  { id: 'waiting', title: 'Jobs waiting', unit: 'count', of: now => now.sum('iocloud_jobs', { phase: 'queued' }) },
  { id: 'running', title: 'Jobs running', unit: 'count', of: now => now.sum('iocloud_jobs', { phase: 'running' }) },
  { id: 'wait', title: 'Longest wait', unit: 'seconds', of: now => now.max('iocloud_jobs_oldest_wait_seconds') },
  {
    id: 'ended',
    title: 'Jobs ended',
    unit: 'perSecond',
    of: (now, before) => rate(before, now, 'iocloud_jobs_finished_total'),
  },
  {
    id: 'clusters',
    title: 'Clusters ready',
    unit: 'count',
    of: now => now.sum('iocloud_clusters', { phase: 'ready' }),
  },
  { id: 'machines', title: 'Machines online', unit: 'count', of: now => now.sum('iocloud_nodes', { state: 'online' }) },
  { id: 'leased', title: 'Accelerators leased', unit: 'share', of: leased },
  {
    id: 'calls',
    title: 'Calls',
    unit: 'perSecond',
    of: (now, before) => rate(before, now, 'iocloud_http_requests_total'),
  },
  { id: 'errors', title: 'Calls answered 5xx', unit: 'perSecond', of: serverErrors },
  {
    id: 'statement',
    title: 'Mean PostgreSQL statement',
    unit: 'seconds',
    of: (now, before) => mean(before, now, 'iocloud_postgres_query_duration_seconds'),
  },
  {
    id: 'loop',
    title: 'Event loop lag, 99 %',
    unit: 'seconds',
    of: now => now.max('nodejs_eventloop_lag_p99_seconds'),
  },
  { id: 'memory', title: 'Resident memory', unit: 'bytes', of: now => now.max('process_resident_memory_bytes') },
];

/** As a person reads it. */
export function inWords(value: number | null, unit: FigureUnit): string {
  if (value === null) return '–';
  if (unit === 'share') return `${Math.round(value * 100)} %`;
  if (unit === 'bytes') return `${Math.round(value / 2 ** 20)} MiB`;
  if (unit === 'seconds') return duration(value);
  if (unit === 'perSecond') return `${value === 0 ? 0 : value < 10 ? value.toFixed(2) : Math.round(value)} /s`;
  return String(Math.round(value));
}

export function duration(seconds: number): string {
  if (seconds === 0) return '0 s';
  if (seconds < 1) return `${Number((seconds * 1_000).toPrecision(2))} ms`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3_600)} h`;
}
