/** One Ray cluster, from the inside: what Ray's own metrics say, found by service discovery with tenant and cluster on them. */
import type { Board } from './board.js';
import { series, stat, table } from './panels.js';

const one = '{cluster="$cluster"}';
const of = (labels: string) => `{cluster="$cluster", ${labels}}`;

export const cluster: Board = {
  uid: 'cluster',
  title: 'Cluster',
  description: 'Head, workers, tasks, actors, object store and accelerators of one Ray cluster.',
  variables: [
    { name: 'tenant', label: 'Tenant', query: 'label_values(iocloud_lease_allocated_seconds_total, tenant)' },
    {
      name: 'cluster',
      label: 'Cluster',
      query: 'label_values(iocloud_lease_allocated_seconds_total{tenant=~"$tenant"}, cluster)',
      single: true,
    },
  ],
  links: [{ title: 'Ray dashboard', url: '$control_plane/clusters/$cluster/dashboard/' }],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Ray nodes',
          description: 'Nodes whose metrics are read, the head among them.',
          unit: 'short',
          query: `count(up${one} == 1)`,
          noValue: '0',
        }),
        stat({
          title: 'Not reached',
          description: 'Ray nodes whose metrics cannot be read: their machine, tunnel or Ray is down.',
          unit: 'short',
          query: `count(up${one} == 0) or vector(0)`,
          thresholds: { amber: 1, red: 2 },
        }),
        stat({
          title: 'Tasks running',
          description: 'Ray tasks, not jobs.',
          unit: 'short',
          query: `sum(ray_tasks${of('State=~"RUNNING.*"')}) or vector(0)`,
        }),
        stat({
          title: 'Tasks waiting for resources',
          description: 'Ready to run, and nowhere to: more workers would help.',
          unit: 'short',
          query: `sum(ray_tasks${of('State="PENDING_NODE_ASSIGNMENT"')}) or vector(0)`,
        }),
        stat({
          title: 'Actors alive',
          description: 'Of all states but dead.',
          unit: 'short',
          query: `sum(ray_actors${of('State!="DEAD"')}) or vector(0)`,
        }),
        stat({
          title: 'Jobs running',
          description: 'As the head counts them.',
          unit: 'short',
          query: `max(ray_running_jobs${one}) or vector(0)`,
        }),
      ],
    },
    {
      title: 'Work',
      panels: [
        series({
          title: 'Tasks by state',
          description: 'FINISHED and FAILED are sums since the head started.',
          unit: 'short',
          stack: true,
          queries: [[`sum by (State) (ray_tasks${of('State!~"FINISHED|FAILED"')})`, '{{State}}']],
        }),
        series({
          title: 'Tasks failed',
          description: 'A minute.',
          unit: 'short',
          queries: [[`sum by (Name) (clamp_min(delta(ray_tasks${of('State="FAILED"')}[1m]), 0))`, '{{Name}}']],
        }),
        series({
          title: 'Actors by state',
          description: 'RESTARTING for long: their constructor fails or their resources are gone.',
          unit: 'short',
          stack: true,
          queries: [[`sum by (State) (ray_actors${of('State!="DEAD"')})`, '{{State}}']],
        }),
        series({
          title: 'Logical resources used',
          description: 'What tasks and actors have reserved, as a share of what nodes declare.',
          unit: 'percentunit',
          max: 1,
          queries: [
            [
              `sum by (Name) (ray_resources${of('State="USED", Name=~"CPU|GPU|memory|object_store_memory"')}) / sum by (Name) (ray_resources${of('Name=~"CPU|GPU|memory|object_store_memory"')})`,
              '{{Name}}',
            ],
          ],
        }),
        series({
          title: 'Object store',
          description: 'By where objects lie. Much in SPILLED: memory is short, and work waits for the disk.',
          unit: 'bytes',
          stack: true,
          queries: [[`sum by (Location) (ray_object_store_memory${one})`, '{{Location}}']],
        }),
      ],
    },
    {
      title: 'Nodes',
      panels: [
        series({
          title: 'Processors',
          description: 'Busy, each Ray node. Nodes that share a machine all report the whole machine.',
          unit: 'percentunit',
          max: 1,
          queries: [[`ray_node_cpu_utilization${one} / 100`, '{{lease}}']],
        }),
        series({
          title: 'Memory',
          description: 'Used, as a share of what there is. At 0.95 Ray kills workers.',
          unit: 'percentunit',
          max: 1,
          thresholds: { amber: 0.85, red: 0.95 },
          queries: [[`ray_node_mem_used${one} / ray_node_mem_total${one}`, '{{lease}}']],
        }),
        series({
          title: 'Disk',
          description: 'Used on the file system of Ray’s session.',
          unit: 'percentunit',
          max: 1,
          queries: [
            [`ray_node_disk_usage${one} / (ray_node_disk_usage${one} + ray_node_disk_free${one})`, '{{lease}}'],
          ],
        }),
        series({
          title: 'Network',
          description: 'Received and sent, all nodes.',
          unit: 'Bps',
          queries: [
            [`sum(ray_node_network_receive_speed${one})`, 'received'],
            [`sum(ray_node_network_send_speed${one})`, 'sent'],
          ],
        }),
        series({
          title: 'GPU utilisation',
          description: 'As Ray sees it.',
          unit: 'percentunit',
          max: 1,
          queries: [[`ray_node_gpus_utilization${one} / 100`, '{{lease}} {{GpuIndex}} {{GpuDeviceName}}']],
        }),
        series({
          title: 'GPU memory',
          description: 'Used, as a share.',
          unit: 'percentunit',
          max: 1,
          queries: [
            [
              `ray_node_gram_used${one} / (ray_node_gram_used${one} + ray_node_gram_available${one})`,
              '{{lease}} {{GpuIndex}}',
            ],
          ],
        }),
        series({
          title: 'Memory of Ray’s own processes',
          description: 'Of components: a head’s gcs_server that grows without end carries too much.',
          unit: 'bytes',
          queries: [[`sum by (Component) (ray_component_uss_bytes${one})`, '{{Component}}']],
        }),
      ],
    },
    {
      title: 'What it is billed for',
      panels: [
        series({
          title: 'Accelerators held and working',
          description: 'GPU-seconds a second.',
          unit: 'short',
          queries: [
            [`sum(rate(iocloud_lease_gpu_seconds_allocated_total${one}[$__rate_interval]))`, 'held'],
            [`sum(rate(iocloud_lease_gpu_seconds_available_total${one}[$__rate_interval]))`, 'working'],
          ],
        }),
        series({
          title: 'Processor time',
          description: 'Of all processes of its leases.',
          unit: 'short',
          queries: [[`sum by (role) (rate(iocloud_lease_cpu_seconds_total${one}[$__rate_interval]))`, '{{role}}']],
        }),
        series({
          title: 'Memory',
          description: 'Resident, of its leases.',
          unit: 'bytes',
          queries: [
            [`sum by (role) (rate(iocloud_lease_memory_gib_seconds_total${one}[$__rate_interval])) * 2^30`, '{{role}}'],
          ],
        }),
        table({
          title: 'Leases',
          description: 'Hours held so far.',
          unit: 'short',
          query: `iocloud_lease_allocated_seconds_total${one} / 3600`,
          columns: ['lease', 'role', 'node', 'model'],
          value: 'hours',
        }),
      ],
    },
  ],
};
