/** Why jobs wait: how many, how long, and what the scheduler did about it. */
import { type Board, boardUrl } from './board.js';
import { quantile } from './expressions.js';
import { series, stat } from './panels.js';

export const queue: Board = {
  uid: 'queue',
  title: 'Queue and scheduler',
  description: 'Jobs that wait by priority, how long they do, and what runs of the scheduler decided.',
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Waiting',
          description: 'Jobs in the queue, of all priorities.',
          unit: 'short',
          query: 'sum(max by (priority) (iocloud_jobs{phase="queued"}))',
        }),
        stat({
          title: 'Longest wait',
          description:
            'For how long the job has waited that has waited the longest. Long and growing, with accelerators free: the scheduler does not run, or nothing fits.',
          unit: 's',
          query: 'max(iocloud_jobs_oldest_wait_seconds)',
          thresholds: { amber: 600, red: 3_600 },
        }),
        stat({
          title: 'Assigned a minute',
          description: 'Attempts that got a place.',
          unit: 'short',
          query: 'sum(rate(iocloud_job_attempts_started_total[5m])) * 60',
        }),
        stat({
          title: 'Scheduler last ran',
          description: 'Runs are seconds apart while anything waits.',
          unit: 's',
          query:
            'sum(rate(iocloud_scheduler_run_duration_seconds_sum[5m])) / sum(rate(iocloud_scheduler_run_duration_seconds_count[5m]))',
          noValue: 'no run',
        }),
        stat({
          title: 'Refused as impossible',
          description: 'Within the time shown: clusters for jobs that no machine, present or absent, can carry.',
          unit: 'short',
          query: 'sum(increase(iocloud_scheduler_refusals_total{reason="no_machine_ever"}[$__range])) or vector(0)',
          thresholds: { amber: 1, red: 100 },
        }),
        stat({
          title: 'Accelerators free',
          description: 'Online and held by nobody.',
          unit: 'short',
          query: 'sum(max by (model) (iocloud_devices{state="free"})) or vector(0)',
          link: { title: 'Capacity', url: boardUrl('capacity') },
        }),
      ],
    },
    {
      title: 'Waiting',
      panels: [
        series({
          title: 'Depth by priority',
          description: 'Jobs that wait.',
          unit: 'short',
          stack: true,
          queries: [['max by (priority) (iocloud_jobs{phase="queued"})', '{{priority}}']],
        }),
        series({
          title: 'Longest wait by priority',
          description: 'Pauses between attempts are not counted. Higher priorities should lie below lower ones.',
          unit: 's',
          queries: [['max by (priority) (iocloud_jobs_oldest_wait_seconds)', '{{priority}}']],
        }),
        series({
          title: 'Wait of jobs that got a place',
          description: 'From submission to the first place: median and 95th percentile.',
          unit: 's',
          queries: [
            [quantile(0.5, 'iocloud_job_queue_wait_seconds'), 'median'],
            [quantile(0.95, 'iocloud_job_queue_wait_seconds'), '95 %'],
          ],
        }),
        series({
          title: 'Oldest job by phase',
          description:
            'Age since submission. What is assigned or stopping for long hangs between the control plane and its head.',
          unit: 's',
          queries: [['max by (phase) (iocloud_jobs_oldest_age_seconds)', '{{phase}}']],
        }),
        series({
          title: 'In and out',
          description: 'Submitted and ended. Above each other for long: the queue grows.',
          unit: 'ops',
          queries: [
            ['sum(rate(iocloud_jobs_submitted_total[$__rate_interval]))', 'submitted'],
            ['sum(rate(iocloud_jobs_finished_total[$__rate_interval]))', 'ended'],
          ],
        }),
      ],
    },
    {
      title: 'Scheduler',
      panels: [
        series({
          title: 'Decisions',
          description: 'What runs decided: assign to a cluster, bring one up, make room, wait.',
          unit: 'ops',
          queries: [['sum by (kind) (rate(iocloud_scheduler_decisions_total[$__rate_interval]))', '{{kind}}']],
        }),
        series({
          title: 'Refusals',
          description: 'Clusters for jobs that were not brought up, by reason.',
          unit: 'ops',
          queries: [['sum by (reason) (rate(iocloud_scheduler_refusals_total[$__rate_interval]))', '{{reason}}']],
        }),
        series({
          title: 'Duration of runs',
          description: 'Median and 95th percentile, waiting for the lock included. Above some seconds, jobs feel it.',
          unit: 's',
          queries: [
            [quantile(0.5, 'iocloud_scheduler_run_duration_seconds'), 'median'],
            [quantile(0.95, 'iocloud_scheduler_run_duration_seconds'), '95 %'],
          ],
        }),
        series({
          title: 'Looks at clusters that need machines',
          description: '`no_capacity`: no machine fits now. `unpaid`: its tenant lacks the money.',
          unit: 'ops',
          queries: [['sum by (result) (rate(iocloud_cluster_placements_total[$__rate_interval]))', '{{result}}']],
        }),
      ],
    },
  ],
};
