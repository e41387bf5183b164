/** How the kubelet asks whether a node lives: the paths that Ray answers without a token. */
import type { HeadGroupSpec, WorkerGroupSpec } from '../api/raycluster.js';
import { ports } from './names.js';

const fetchOf = (port: string, path: string) =>
  `wget --tries 1 -T 4 -q -O- http://localhost:${port}/${path} | grep success`;

function healthCommand(group: HeadGroupSpec | WorkerGroupSpec, isHead: boolean): string[] {
  const params = group.rayStartParams ?? {};
  const agent = params['dashboard-agent-listen-port'] ?? String(ports.agent);
  const dashboard = params['dashboard-port'] ?? String(ports.dashboard);
  const checks = [fetchOf(agent, 'api/local_raylet_healthz')];
  if (isHead) checks.push(fetchOf(dashboard, 'api/gcs_healthz'));
  return ['bash', '-c', checks.join(' && ')];
}

/** A head busy for minutes is not a dead head: Ray itself notices dead nodes far sooner than the kubelet restarts one. */
export function probes(group: HeadGroupSpec | WorkerGroupSpec, isHead: boolean) {
  const exec = { command: healthCommand(group, isHead) };
  const timing = { timeoutSeconds: isHead ? 9 : 5, periodSeconds: 10 };
  return {
    readinessProbe: { exec, ...timing, initialDelaySeconds: 5, periodSeconds: 5, failureThreshold: 10 },
    livenessProbe: { exec, ...timing, initialDelaySeconds: 30, failureThreshold: 60 },
  };
}
