/** The promises, how they are kept, and how fast their budgets burn. Targets are those of docs/slos.md. */
import type { Board } from './board.js';
import { type PanelSource, series, stat } from './panels.js';

interface Objective {
  title: string;
  description: string;
  /** Of what ought to be good, within the window `$w`. */
  good: (window: string) => string;
  target: number;
}

const within = (metric: string, le: string) => (window: string) =>
  `sum(increase(${metric}_bucket{le="${le}"}[${window}])) / sum(increase(${metric}_count[${window}]))`;

const objectives: Objective[] = [
  {
    title: 'Job start latency',
    description: 'Share of first attempts that ran within two minutes of submission.',
    good: within('iocloud_job_start_latency_seconds', '120'),
    target: 0.95,
  },
  {
    title: 'Submission availability',
    description: 'Share of submissions that were not answered with 5xx.',
    good: window =>
      `1 - (sum(increase(iocloud_http_requests_total{operation="raySubmitJob", code=~"5.."}[${window}])) or vector(0)) / sum(increase(iocloud_http_requests_total{operation="raySubmitJob"}[${window}]))`,
    target: 0.999,
  },
  {
    title: 'Migration time',
    description: 'Share of moves that were running elsewhere within five minutes.',
    good: within('iocloud_job_migration_duration_seconds', '300'),
    target: 0.95,
  },
  {
    title: 'Billing exactness',
    description: 'Share of the time in which the last run of each check had found nothing.',
    good: window => `min(avg_over_time((max by (check) (iocloud_check_differences) == bool 0)[${window}:1m]))`,
    target: 1,
  },
];

function panels({ title, description, good, target }: Objective): PanelSource[] {
  const percent = `${Math.round(target * 100_000) / 1_000} %`;
  const kept = stat({
    title: `${title}: 30 days`,
    description: `${description} Objective: ${percent}.`,
    unit: 'percentunit',
    width: 6,
    height: 8,
    query: good('30d'),
    thresholds: { amber: target, red: target - (1 - target), low: true },
    noValue: 'nothing yet',
  });
  const shortly = series({
    title: `${title}: hour by hour`,
    description: `${description} Below the objective of ${percent} the budget is being used up.`,
    unit: 'percentunit',
    width: 9,
    max: 1,
    queries: [
      [good('1h'), 'an hour'],
      [`vector(${target})`, 'objective'],
    ],
  });
  // Exactness has no budget: one difference is one too many.
  if (target === 1) return [kept, shortly];
  const burn = (window: string) => `(1 - ${good(window)}) / ${Math.round((1 - target) * 1e6) / 1e6}`;
  return [
    kept,
    shortly,
    series({
      title: `${title}: burn rate`,
      description: '1 uses up the budget in just 30 days; 14.4 in two days: somebody is paged.',
      unit: 'short',
      width: 9,
      thresholds: { amber: 6, red: 14.4 },
      queries: [
        [burn('1h'), 'an hour'],
        [burn('6h'), 'six hours'],
      ],
    }),
  ];
}

export const slos: Board = {
  uid: 'slos',
  title: 'Objectives',
  description:
    'Service level objectives: job start latency, submission availability, migration time, billing exactness.',
  from: 'now-7d',
  rows: objectives.map(objective => ({ title: objective.title, panels: panels(objective) })),
};
