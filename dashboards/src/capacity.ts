/** Weeks, not minutes: what there is of each model, what is used of it, when something runs out. */
import type { Board } from './board.js';
import { series, stat, table } from './panels.js';

export const capacity: Board = {
  uid: 'capacity',
  title: 'Capacity',
  description: 'Supply and demand by model over weeks, and what the control plane itself will run out of.',
  variables: [{ name: 'model', label: 'Model', query: 'label_values(iocloud_devices, model)' }],
  from: 'now-30d',
  rows: [
    {
      title: 'Accelerators',
      panels: [
        table({
          title: 'Leased by model, now',
          description: 'Share of what is online.',
          unit: 'percentunit',
          query:
            'sum by (model) (max by (model) (iocloud_devices{state="leased", model=~"$model"})) / sum by (model) (max by (model, state) (iocloud_devices{state=~"leased|free", model=~"$model"}))',
          columns: ['model'],
          value: 'leased',
        }),
        series({
          title: 'Leased by model',
          description:
            'Share of what is online, mean of a day. Near 1 for long: prices rise, jobs wait, suppliers are missing.',
          unit: 'percentunit',
          max: 1,
          width: 12,
          queries: [
            [
              'sum by (model) (avg_over_time(iocloud_devices{state="leased", model=~"$model"}[1d])) / sum by (model) (avg_over_time(iocloud_devices{state=~"leased|free", model=~"$model"}[1d]))',
              '{{model}}',
            ],
          ],
        }),
        series({
          title: 'Supply by model',
          description: 'Devices that are online.',
          unit: 'short',
          stack: true,
          queries: [
            [
              'sum by (model) (max by (model, state) (iocloud_devices{state=~"leased|free", model=~"$model"}))',
              '{{model}}',
            ],
          ],
        }),
        series({
          title: 'Jobs that wait',
          description: 'Mean of an hour: demand that was not met at once.',
          unit: 'short',
          queries: [['sum(max by (priority) (avg_over_time(iocloud_jobs{phase="queued"}[1h])))', 'waiting']],
        }),
        series({
          title: 'Asked for and not there',
          description: 'Clusters for jobs that found no machine, now or ever.',
          unit: 'ops',
          queries: [
            ['sum by (reason) (rate(iocloud_scheduler_refusals_total{reason=~"no_machine.*"}[1h]))', '{{reason}}'],
          ],
        }),
      ],
    },
    {
      title: 'The control plane',
      panels: [
        stat({
          title: 'Database',
          description: 'Size of the PostgreSQL database.',
          unit: 'bytes',
          query: 'max(iocloud_postgres_database_bytes)',
        }),
        stat({
          title: 'Database in 30 days',
          description: 'As the last week goes on.',
          unit: 'bytes',
          query: 'max(predict_linear(iocloud_postgres_database_bytes[7d], 30 * 86400))',
        }),
        stat({
          title: 'Connections in use',
          description: 'Of those that the pools may have, at most within the time shown.',
          unit: 'percentunit',
          query:
            'max_over_time((max(iocloud_postgres_connections{state="in_use"} / on (instance) iocloud_postgres_connections_limit))[$__range:1m])',
          thresholds: { amber: 0.8, red: 0.95 },
        }),
        stat({
          title: 'Resident memory',
          description: 'Of the largest replica.',
          unit: 'bytes',
          query: 'max(process_resident_memory_bytes * on (instance) group_left () iocloud_build_info)',
        }),
        series({
          title: 'Machines for each replica',
          description: 'Agents that are connected to it.',
          unit: 'short',
          queries: [['iocloud_agent_connections', '{{instance}}']],
        }),
        series({
          title: 'Processor time',
          description: 'One processor is 1. Node.js does its work on one: a replica near 1 answers late.',
          unit: 'short',
          queries: [
            ['rate(process_cpu_seconds_total[1h]) * on (instance) group_left () iocloud_build_info', '{{instance}}'],
          ],
        }),
      ],
    },
  ],
};
