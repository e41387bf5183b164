/** A supplier's own machines: up, leased, earning. With a supplier's key Prometheus sees no others. */
import type { Board } from './board.js';
import { series, stat, table } from './panels.js';

const on = '{node_name=~"$node_name"}';

export const supplier: Board = {
  uid: 'supplier',
  title: 'Supplier',
  description:
    'For who owns machines: are they up, are they leased, what do they work. Scraped with a key of the supplier it shows theirs alone.',
  variables: [{ name: 'node_name', label: 'Machine', query: 'label_values(iocloud_node_up, node_name)' }],
  from: 'now-7d',
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Up',
          description: 'Machines whose agent is connected.',
          unit: 'short',
          query: `sum(iocloud_node_up${on})`,
        }),
        stat({
          title: 'Availability',
          description: 'Share of the time shown in which machines were up. Rewards and reputation follow it.',
          unit: 'percentunit',
          query: `avg(avg_over_time(iocloud_node_up${on}[$__range]))`,
          thresholds: { amber: 0.99, red: 0.95, low: true },
        }),
        stat({
          title: 'GPU-hours leased',
          description: 'Within the time shown, of the leases on these machines that Prometheus sees.',
          unit: 'short',
          query: `sum(increase(iocloud_lease_gpu_seconds_allocated_total[$__range]) * on (node) group_left () (0 * max by (node) (iocloud_node_up${on}) + 1)) / 3600`,
          noValue: '0',
        }),
        stat({
          title: 'Worked of it',
          description: 'Share of the time held in which leases worked: the rest is not paid.',
          unit: 'percentunit',
          query:
            'sum(increase(iocloud_lease_available_seconds_total[$__range])) / sum(increase(iocloud_lease_allocated_seconds_total[$__range]))',
          thresholds: { amber: 0.99, red: 0.95, low: true },
          noValue: 'nothing leased',
        }),
        stat({
          title: 'Power now',
          description: 'Drawn by all accelerators.',
          unit: 'watt',
          query: `sum(iocloud_device_power_watts${on})`,
          noValue: 'no accelerators',
        }),
      ],
    },
    {
      title: 'Over time',
      panels: [
        series({
          title: 'Up',
          description: 'Each machine.',
          unit: 'short',
          max: 1,
          queries: [[`iocloud_node_up${on}`, '{{node_name}}']],
        }),
        series({
          title: 'Accelerators leased',
          description: 'GPU-seconds held a second: how many accelerators earn.',
          unit: 'short',
          stack: true,
          queries: [
            ['sum by (model) (rate(iocloud_lease_gpu_seconds_allocated_total[$__rate_interval]))', '{{model}}'],
          ],
        }),
        series({
          title: 'Utilisation of accelerators',
          description: 'What renters make of them.',
          unit: 'percentunit',
          max: 1,
          queries: [[`iocloud_device_utilization_ratio${on}`, '{{node_name}} {{device}}']],
        }),
        series({
          title: 'Sent out of leases',
          description: 'Traffic of renters.',
          unit: 'Bps',
          queries: [['sum by (node) (rate(iocloud_lease_egress_bytes_total[$__rate_interval]))', '{{node}}']],
        }),
        table({
          title: 'Leases',
          description: 'Hours held so far, by lease that is held now.',
          unit: 'short',
          query: 'iocloud_lease_allocated_seconds_total / 3600',
          columns: ['node', 'cluster', 'lease', 'role', 'model'],
          value: 'hours',
        }),
      ],
    },
  ],
};
