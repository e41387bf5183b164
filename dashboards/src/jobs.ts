/** The life of jobs: submitted, started, moved, ended. */
import { type Board, boardUrl } from './board.js';
import { quantile } from './expressions.js';
import { series, stat } from './panels.js';

export const jobs: Board = {
  uid: 'jobs',
  title: 'Jobs',
  description:
    'From submission to the end: how long jobs take to start, how they end, how often and how long they move.',
  links: [{ title: 'Queue', url: boardUrl('queue') }],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Running',
          description: 'Jobs whose attempt runs.',
          unit: 'short',
          query: 'sum(max by (priority) (iocloud_jobs{phase="running"}))',
        }),
        stat({
          title: 'Succeeded',
          description: 'Share of the jobs that ended within the time shown, those that were stopped left out.',
          unit: 'percentunit',
          query:
            'sum(increase(iocloud_jobs_finished_total{outcome="succeeded"}[$__range])) / sum(increase(iocloud_jobs_finished_total{outcome=~"succeeded|failed"}[$__range]))',
          noValue: 'none ended',
        }),
        stat({
          title: 'Attempts lost',
          description:
            'Within the time shown: attempts that the infrastructure failed. Their jobs move; whom it hurts waits.',
          unit: 'short',
          query: 'sum(increase(iocloud_job_attempts_ended_total{outcome="lost"}[$__range])) or vector(0)',
          thresholds: { amber: 1, red: 20 },
        }),
        stat({
          title: 'Start latency, 95 %',
          description: 'From submission to running, of the first attempt, over the last hour.',
          unit: 's',
          query: quantile(0.95, 'iocloud_job_start_latency_seconds', { over: '1h' }),
          noValue: 'none started',
          link: { title: 'Objective', url: boardUrl('slos') },
        }),
        stat({
          title: 'Migration, 95 %',
          description: 'From being asked to move to running elsewhere, over the last hour.',
          unit: 's',
          query: quantile(0.95, 'iocloud_job_migration_duration_seconds', { over: '1h' }),
          noValue: 'none moved',
          link: { title: 'Objective', url: boardUrl('slos') },
        }),
      ],
    },
    {
      title: 'Life',
      panels: [
        series({
          title: 'Jobs by phase',
          description: 'Live jobs.',
          unit: 'short',
          stack: true,
          queries: [['sum by (phase) (max by (phase, priority) (iocloud_jobs))', '{{phase}}']],
        }),
        series({
          title: 'Submitted by priority',
          description: 'Jobs taken in.',
          unit: 'ops',
          queries: [['sum by (priority) (rate(iocloud_jobs_submitted_total[$__rate_interval]))', '{{priority}}']],
        }),
        series({
          title: 'Ended by outcome',
          description: '`failed` is most often the job’s own error: look whether `lost` rises with it.',
          unit: 'ops',
          queries: [['sum by (outcome) (rate(iocloud_jobs_finished_total[$__rate_interval]))', '{{outcome}}']],
        }),
        series({
          title: 'Start latency',
          description:
            'From submission to running, of the first attempt. Clusters that must come up take some ten seconds.',
          unit: 's',
          queries: [
            [quantile(0.5, 'iocloud_job_start_latency_seconds'), 'median'],
            [quantile(0.95, 'iocloud_job_start_latency_seconds'), '95 %'],
            [quantile(0.99, 'iocloud_job_start_latency_seconds'), '99 %'],
          ],
        }),
      ],
    },
    {
      title: 'Attempts and migrations',
      panels: [
        series({
          title: 'Attempts started',
          description: '`later` ones are of jobs that had one before.',
          unit: 'ops',
          queries: [['sum by (number) (rate(iocloud_job_attempts_started_total[$__rate_interval]))', '{{number}}']],
        }),
        series({
          title: 'Attempts ended',
          description: '`lost`: a machine, a head or a network failed. `evicted`: asked to leave, and did.',
          unit: 'ops',
          queries: [['sum by (outcome) (rate(iocloud_job_attempts_ended_total[$__rate_interval]))', '{{outcome}}']],
        }),
        series({
          title: 'Duration of attempts',
          description: 'Median by how they ended.',
          unit: 's',
          queries: [[quantile(0.5, 'iocloud_job_attempt_duration_seconds', { by: 'outcome' }), '{{outcome}}']],
        }),
        series({
          title: 'Asked to move or end',
          description: 'By cause: a machine that leaves, a cluster that is over, more urgent work, a quota, a budget.',
          unit: 'ops',
          queries: [['sum by (cause) (rate(iocloud_job_evictions_total[$__rate_interval]))', '{{cause}}']],
        }),
        series({
          title: 'Duration of migrations',
          description: 'From being asked to move to running elsewhere.',
          unit: 's',
          queries: [
            [quantile(0.5, 'iocloud_job_migration_duration_seconds'), 'median'],
            [quantile(0.95, 'iocloud_job_migration_duration_seconds'), '95 %'],
          ],
        }),
      ],
    },
  ],
};
