/** The metrics that there are: docs/metrics.md for our own, and those of Ray and Prometheus that dashboards read. */
import { readFileSync } from 'node:fs';

const document = new URL('../../docs/metrics.md', import.meta.url);

/** Ray 2.60; the end-to-end test of the dashboards holds them against a real one. */
export const rayMetrics = [
  'ray_actors',
  'ray_component_uss_bytes',
  'ray_node_cpu_utilization',
  'ray_node_disk_free',
  'ray_node_disk_usage',
  'ray_node_gpus_utilization',
  'ray_node_gram_available',
  'ray_node_gram_used',
  'ray_node_mem_total',
  'ray_node_mem_used',
  'ray_node_network_receive_speed',
  'ray_node_network_send_speed',
  'ray_object_store_memory',
  'ray_resources',
  'ray_running_jobs',
  'ray_tasks',
] as const;

const ofPrometheus = ['up', 'ALERTS'];

/** Names of the tables' first columns. */
export function ownMetrics(): string[] {
  const text = readFileSync(document, 'utf8');
  const names = [...text.matchAll(/^\| `(\w+)` \| (?:counter|gauge|histogram|summary) \|/gm)].map(
    ([, name = '']) => name,
  );
  if (names.length < 50) throw new Error('docs/metrics.md has no tables of metrics any more, or other ones');
  return names;
}

export const knownMetrics = (): Set<string> => new Set([...ownMetrics(), ...rayMetrics, ...ofPrometheus]);
