/** All clusters: phases, how long they take to come up, what they lose. */
import { type Board, boardUrl } from './board.js';
import { quantile } from './expressions.js';
import { series, stat } from './panels.js';

export const clusters: Board = {
  uid: 'clusters',
  title: 'Clusters',
  description:
    'Ray clusters of users and of jobs: their phases, how long bringing one up takes, and leases that were lost.',
  links: [{ title: 'One cluster', url: boardUrl('cluster') }],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Ready',
          description: 'Take jobs.',
          unit: 'short',
          query: 'sum(max by (origin) (iocloud_clusters{phase="ready"}))',
        }),
        stat({
          title: 'Longest pending',
          description: 'Waits for machines.',
          unit: 's',
          query: 'max(iocloud_clusters_oldest_in_phase_seconds{phase="pending"})',
          thresholds: { amber: 600, red: 3_600 },
        }),
        stat({
          title: 'Longest provisioning',
          description:
            'Ray comes up within seconds where its environment is there; minutes: look at that machine’s agent.',
          unit: 's',
          query: 'max(iocloud_clusters_oldest_in_phase_seconds{phase="provisioning"})',
          thresholds: { amber: 90, red: 300 },
        }),
        stat({
          title: 'Longest deleting',
          description: 'Waits for machines to confirm that nothing runs any more.',
          unit: 's',
          query: 'max(iocloud_clusters_oldest_in_phase_seconds{phase="deleting"})',
          thresholds: { amber: 120, red: 900 },
        }),
        stat({
          title: 'Leases lost',
          description: 'Within the time shown: given up because their machine went silent.',
          unit: 'short',
          query: 'sum(increase(iocloud_leases_lost_total[$__range])) or vector(0)',
          thresholds: { amber: 1, red: 20 },
        }),
        stat({
          title: 'Provisioning, 95 %',
          description: 'From the wish to ready, of clusters of users, within the time shown.',
          unit: 's',
          query:
            'histogram_quantile(0.95, sum by (le) (increase(iocloud_cluster_provisioning_duration_seconds_bucket{origin="user"}[$__range])))',
          noValue: 'none',
        }),
      ],
    },
    {
      title: 'Over time',
      panels: [
        series({
          title: 'By phase',
          description: 'Clusters that are not deleted.',
          unit: 'short',
          stack: true,
          queries: [['sum by (phase) (max by (phase, origin) (iocloud_clusters))', '{{phase}}']],
        }),
        series({
          title: 'Changes of phase',
          description: 'ready → pending is a cluster that lost its head.',
          unit: 'ops',
          queries: [
            ['sum by (from, to) (rate(iocloud_cluster_transitions_total[$__rate_interval]))', '{{from}} → {{to}}'],
          ],
        }),
        series({
          title: 'Time in a phase, 95 %',
          description: 'At its end: pending waits for machines, provisioning brings Ray up.',
          unit: 's',
          queries: [
            [
              quantile(0.95, 'iocloud_cluster_phase_duration_seconds', {
                labels: '{phase=~"pending|provisioning|stopping|deleting"}',
                by: 'phase',
              }),
              '{{phase}}',
            ],
          ],
        }),
        series({
          title: 'Leases',
          description: 'Ray nodes on machines, by phase.',
          unit: 'short',
          stack: true,
          queries: [['sum by (phase) (max by (phase, role) (iocloud_leases))', '{{phase}}']],
        }),
        series({
          title: 'Leases lost',
          description: 'Given up because their machine went silent.',
          unit: 'ops',
          queries: [['sum(rate(iocloud_leases_lost_total[$__rate_interval]))', 'lost']],
        }),
        series({
          title: 'Networks of clusters',
          description: 'Members of networks over several machines.',
          unit: 'short',
          queries: [['max(iocloud_mesh_members)', 'members']],
        }),
      ],
    },
  ],
};
