/** One machine or some: processors, memory, network, and each accelerator's heat, power and faults. */
import type { Board } from './board.js';
import { series, stat, table } from './panels.js';

const on = '{node_name=~"$node_name", region=~"$region"}';
const device = '{node_name=~"$node_name", region=~"$region", model=~"$model"}';
const ofDevice = '{{node_name}} {{model}} {{device}}';

export const nodes: Board = {
  uid: 'nodes',
  title: 'Nodes and GPUs',
  description: 'What agents say of their machines and accelerators, at their newest sample.',
  variables: [
    { name: 'region', label: 'Region', query: 'label_values(iocloud_node_up, region)' },
    { name: 'node_name', label: 'Machine', query: 'label_values(iocloud_node_up{region=~"$region"}, node_name)' },
    { name: 'model', label: 'Model', query: 'label_values(iocloud_device_utilization_ratio, model)' },
  ],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Up',
          description: 'Share of the chosen machines whose agent is connected.',
          unit: 'percentunit',
          query: `avg(iocloud_node_up${on})`,
          thresholds: { amber: 0.99, red: 0.9, low: true },
        }),
        stat({
          title: 'Oldest sample',
          description: 'A machine that is up and sends no telemetry is too busy, or its agent hangs.',
          unit: 's',
          query: `max(time() - iocloud_node_telemetry_timestamp_seconds${on} and iocloud_node_up${on} == 1)`,
          thresholds: { amber: 60, red: 300 },
        }),
        stat({
          title: 'Hottest',
          description: 'Of all chosen devices. Makers slow devices down at some 85 to 95 °C.',
          unit: 'celsius',
          query: `max(iocloud_device_temperature_celsius${device})`,
          thresholds: { amber: 80, red: 88 },
          noValue: 'no accelerators',
        }),
        stat({
          title: 'Slowed down',
          description: 'Devices that run slower than they could, for heat, power or the like.',
          unit: 'short',
          query: `count(count by (uuid) (iocloud_device_throttled${device})) or vector(0)`,
          thresholds: { amber: 1, red: 10 },
        }),
        stat({
          title: 'Xid faults',
          description: 'Faults of devices within the time shown: look at which below.',
          unit: 'short',
          query: `sum(increase(iocloud_device_xid_errors_total${device}[$__range])) or vector(0)`,
          thresholds: { amber: 1, red: 10 },
        }),
        table({
          title: 'Machines that are not up',
          description: 'Enrolled, and not connected now.',
          unit: 'none',
          query: `iocloud_node_up${on} == 0`,
          columns: ['node_name', 'node', 'region'],
          value: 'up',
        }),
      ],
    },
    {
      title: 'Machines',
      panels: [
        series({
          title: 'Processors busy',
          description: 'Share of all processors of each machine.',
          unit: 'percentunit',
          max: 1,
          queries: [[`iocloud_node_cpu_usage_ratio${on}`, '{{node_name}}']],
        }),
        series({
          title: 'Load',
          description: 'Load average of a minute: tasks that run or wait.',
          unit: 'short',
          queries: [[`iocloud_node_load1${on}`, '{{node_name}}']],
        }),
        series({
          title: 'Memory available',
          description: 'What can be had without swapping. Near zero, the kernel kills: Ray’s workers first.',
          unit: 'bytes',
          queries: [[`iocloud_node_memory_available_bytes${on}`, '{{node_name}}']],
        }),
        series({
          title: 'Disk used',
          description: 'Of the file system that leases are on.',
          unit: 'percentunit',
          max: 1,
          queries: [[`1 - iocloud_node_disk_free_bytes${on} / iocloud_node_disk_size_bytes${on}`, '{{node_name}}']],
        }),
        series({
          title: 'Network received',
          description: 'All network devices of each machine.',
          unit: 'Bps',
          queries: [[`rate(iocloud_node_network_receive_bytes_total${on}[$__rate_interval])`, '{{node_name}}']],
        }),
        series({
          title: 'Network sent',
          description: 'All network devices of each machine.',
          unit: 'Bps',
          queries: [[`rate(iocloud_node_network_transmit_bytes_total${on}[$__rate_interval])`, '{{node_name}}']],
        }),
      ],
    },
    {
      title: 'Accelerators',
      panels: [
        series({
          title: 'Utilisation',
          description: 'Share of the time in which a device computed. Leased and idle is the renter’s loss: tell them.',
          unit: 'percentunit',
          max: 1,
          queries: [[`iocloud_device_utilization_ratio${device}`, ofDevice]],
        }),
        series({
          title: 'Memory used',
          description: 'Memory of the device in use.',
          unit: 'bytes',
          queries: [[`iocloud_device_memory_used_bytes${device}`, ofDevice]],
        }),
        series({
          title: 'Temperature',
          description: 'Amber at 80 °C, red at 88 °C.',
          unit: 'celsius',
          thresholds: { amber: 80, red: 88 },
          queries: [[`iocloud_device_temperature_celsius${device}`, ofDevice]],
        }),
        series({
          title: 'Power',
          description: 'Drawn, as a share of what the device may draw.',
          unit: 'percentunit',
          queries: [[`iocloud_device_power_watts${device} / iocloud_device_power_limit_watts${device}`, ofDevice]],
        }),
        series({
          title: 'Memory errors',
          description: 'Since the driver was loaded. Uncorrected ones end what computes there.',
          unit: 'short',
          queries: [[`increase(iocloud_device_ecc_errors_total${device}[1h])`, `${ofDevice} {{kind}}`]],
        }),
        table({
          title: 'Faults by Xid',
          description: 'Of the last day; NVIDIA documents what each number means.',
          unit: 'short',
          query: `increase(iocloud_device_xid_errors_total${device}[1d]) > 0`,
          columns: ['node_name', 'model', 'device', 'xid'],
          value: 'faults',
        }),
      ],
    },
    {
      title: 'The agent itself',
      panels: [
        series({
          title: 'Processor time',
          description: 'Of the agent, not of what it runs.',
          unit: 'percentunit',
          queries: [[`rate(iocloud_agent_cpu_seconds_total${on}[$__rate_interval])`, '{{node_name}}']],
        }),
        series({
          title: 'Resident memory',
          description: 'Of the agent, not of what it runs.',
          unit: 'bytes',
          queries: [[`iocloud_agent_resident_memory_bytes${on}`, '{{node_name}}']],
        }),
      ],
    },
  ],
};
