/** All machines: how many, where, in what state. The first look. */
import { type Board, boardUrl } from './board.js';
import { countryMap, series, stat, table } from './panels.js';

export const fleet: Board = {
  uid: 'fleet',
  title: 'Fleet',
  description: 'Machines and accelerators of all suppliers: where they are, what they do, which are lost.',
  variables: [{ name: 'region', label: 'Region', query: 'label_values(iocloud_node_up, region)' }],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Machines online',
          description: 'Enrolled machines whose agent is connected.',
          unit: 'short',
          query: 'sum(max by (scheduling, region) (iocloud_nodes{state="online"}))',
        }),
        stat({
          title: 'Machines offline',
          description: 'Enrolled, and not heard of. Offline machines earn nothing; see the nodes dashboard for which.',
          unit: 'short',
          query: 'sum(max by (scheduling, region) (iocloud_nodes{state="offline"})) or vector(0)',
          link: { title: 'Which', url: boardUrl('nodes') },
        }),
        stat({
          title: 'Accelerators',
          description: 'Devices of all enrolled machines.',
          unit: 'short',
          query: 'sum(max by (state, model) (iocloud_devices)) or vector(0)',
          noValue: '0',
        }),
        stat({
          title: 'Leased',
          description: 'Share of the devices that are online and could be leased that are.',
          unit: 'percentunit',
          query:
            'sum(max by (model) (iocloud_devices{state="leased"})) / sum(max by (state, model) (iocloud_devices{state=~"leased|free"}))',
          noValue: 'no accelerators',
        }),
        stat({
          title: 'Clusters ready',
          description: 'Ray clusters that take jobs, of users and of jobs.',
          unit: 'short',
          query: 'sum(max by (origin) (iocloud_clusters{phase="ready"}))',
          link: { title: 'Clusters', url: boardUrl('cluster') },
        }),
        stat({
          title: 'Jobs running',
          description: 'Jobs whose attempt runs.',
          unit: 'short',
          query: 'sum(max by (priority) (iocloud_jobs{phase="running"}))',
          link: { title: 'Jobs', url: boardUrl('jobs') },
        }),
      ],
    },
    {
      title: 'Where',
      panels: [
        countryMap({
          title: 'Machines by country',
          description: 'Online machines by the country that their supplier states or that was found.',
          unit: 'short',
          query: 'sum by (country) (max by (country, state) (iocloud_nodes_by_country{state="online"}))',
        }),
        table({
          title: 'Regions',
          description: 'Machines by region and state. The 30 regions with the most machines; the rest is `other`.',
          unit: 'short',
          query: 'max by (region, state, scheduling) (iocloud_nodes)',
          columns: ['region', 'state', 'scheduling'],
          value: 'machines',
          height: 12,
        }),
      ],
    },
    {
      title: 'Over time',
      panels: [
        series({
          title: 'Machines',
          description: 'By state. A step down over many machines of one region is its network, not its machines.',
          unit: 'short',
          stack: true,
          queries: [['sum by (state) (max by (state, scheduling, region) (iocloud_nodes))', '{{state}}']],
        }),
        series({
          title: 'Accelerators by model',
          description: 'Of all states; the 20 models that are the most.',
          unit: 'short',
          stack: true,
          queries: [['sum by (model) (max by (state, model) (iocloud_devices))', '{{model}}']],
        }),
        series({
          title: 'Accelerators by state',
          description: 'leased earns, free waits, draining leaves.',
          unit: 'short',
          stack: true,
          queries: [['sum by (state) (max by (state, model) (iocloud_devices))', '{{state}}']],
        }),
        series({
          title: 'Agents connected',
          description:
            'By replica. A replica that loses all of its agents at once has lost its network, or was restarted.',
          unit: 'short',
          stack: true,
          queries: [['iocloud_agent_connections', '{{instance}}']],
        }),
        series({
          title: 'Logins by SSH',
          description: 'Of agents and renters. Many refused of `unknown` is somebody who tries doors.',
          unit: 'ops',
          queries: [
            ['sum by (peer, result) (rate(iocloud_ssh_logins_total[$__rate_interval]))', '{{peer}} {{result}}'],
          ],
        }),
        series({
          title: 'Mesh paths',
          description: 'How members of networks reach each other; `none` cannot, and their cluster suffers.',
          unit: 'short',
          stack: true,
          queries: [['max by (path) (iocloud_mesh_paths)', '{{path}}']],
        }),
      ],
    },
    {
      title: 'Proof',
      panels: [
        series({
          title: 'Verifications judged',
          description:
            'Challenges by verdict. A rise of failed or missed in all regions at once points here, not at them.',
          unit: 'ops',
          queries: [['sum by (verdict) (rate(iocloud_verifications_judged_total[$__rate_interval]))', '{{verdict}}']],
        }),
        series({
          title: 'Verifications open',
          description: 'By state: those that are due wait for their machine to be online or free.',
          unit: 'short',
          stack: true,
          queries: [['max by (state) (iocloud_verifications_open)', '{{state}}']],
        }),
        series({
          title: 'Most overdue verification',
          description: 'Above an hour the verifier does not keep up, or does not run.',
          unit: 's',
          thresholds: { amber: 900, red: 3_600 },
          queries: [['max(iocloud_verifications_overdue_seconds)', 'overdue']],
        }),
      ],
    },
  ],
};
