/** `ray start …` as a line of shell, from `rayStartParams`, the group's resources and what every node needs. */
import type { HeadGroupSpec, WorkerGroupSpec } from '../api/raycluster.js';
import { ports } from './names.js';
import { groupResourceParams, rayContainer, rayResourceParams, shellQuoted } from './resources.js';

/** Options without a value: written bare when true, left out when false. */
const flags = new Set([
  'block',
  'no-monitor',
  'disable-usage-stats',
  'ray-debugger-external',
  'no-redirect-output',
  'verbose',
]);

function written(params: Record<string, string>): string[] {
  return Object.keys(params)
    .sort()
    .flatMap(name => {
      const value = params[name] ?? '';
      if (flags.has(name)) return value === 'false' ? [] : [`--${name}`];
      return [`--${name}=${value}`];
    });
}

function params(group: HeadGroupSpec | WorkerGroupSpec, defaults: Record<string, string>): Record<string, string> {
  const given = group.rayStartParams ?? {};
  const labels = Object.entries(group.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  return {
    block: 'true',
    'metrics-export-port': String(ports.metrics),
    'dashboard-agent-listen-port': String(ports.agent),
    ...defaults,
    ...rayResourceParams(rayContainer(group.template)),
    ...(labels.length > 0 ? { labels: shellQuoted(labels.join(',')) } : {}),
    // Users write these as words of the shell: quoted where they need quotes.
    ...given,
    ...groupResourceParams(group.resources ?? {}),
  };
}

const line = (words: string[]) => `ulimit -n 65536; ray start ${words.join(' ')}`;

export interface HeadOptions {
  autoscaling: boolean;
  redis: { username: boolean; password: boolean } | undefined;
}

export function headStartCommand(group: HeadGroupSpec, { autoscaling, redis }: HeadOptions): string {
  const defaults = {
    'dashboard-host': '0.0.0.0',
    // The autoscaler beside Ray does the monitor's work.
    ...(autoscaling ? { 'no-monitor': 'true' } : {}),
    ...(redis?.username ? { 'redis-username': '$REDIS_USERNAME' } : {}),
    ...(redis?.password ? { 'redis-password': '$REDIS_PASSWORD' } : {}),
  };
  return line(['--head', ...written(params(group, defaults))]);
}

export function workerStartCommand(group: WorkerGroupSpec, headAddress: string): string {
  return line(written({ ...params(group, {}), address: group.rayStartParams?.address ?? headAddress }));
}

/** Where the head's GCS listens. */
export const gcsPort = (head: HeadGroupSpec) => head.rayStartParams?.port ?? String(ports.gcs);
