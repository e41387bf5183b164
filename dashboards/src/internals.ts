/** The control plane itself: its loops, its database, its wake-ups, its processes. */
import type { Board } from './board.js';
import { quantile } from './expressions.js';
import { series, stat, table } from './panels.js';

export const internals: Board = {
  uid: 'internals',
  title: 'Control plane',
  description: 'Loops, wake-ups, PostgreSQL, Redis and the processes themselves.',
  variables: [{ name: 'instance', label: 'Replica', query: 'label_values(iocloud_build_info, instance)' }],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Replicas',
          description: 'That Prometheus reaches.',
          unit: 'short',
          query: 'count(iocloud_build_info)',
          thresholds: { amber: 1, red: 1, low: true },
        }),
        stat({
          title: 'Redis',
          description: '1 while it answers all replicas. Without it work goes on by sweeps, more slowly.',
          unit: 'short',
          query: 'min(iocloud_redis_up)',
          thresholds: { amber: 1, red: 1, low: true },
        }),
        stat({
          title: 'Callers waiting for PostgreSQL',
          description: 'Of all replicas. Above 0 for long: the pool is too small, or statements hang.',
          unit: 'short',
          query: 'sum(iocloud_postgres_connection_waiters)',
          thresholds: { amber: 5, red: 50 },
        }),
        stat({
          title: 'Outbox',
          description: 'Age of the oldest wake-up that Redis has not taken.',
          unit: 's',
          query: 'max(iocloud_outbox_oldest_seconds)',
          thresholds: { amber: 10, red: 60 },
        }),
        stat({
          title: 'Event loop, 99 %',
          description: 'For so long the replica that is the worst could do nothing else.',
          unit: 's',
          query: 'max(nodejs_eventloop_lag_p99_seconds * on (instance) group_left () iocloud_build_info)',
          thresholds: { amber: 0.1, red: 0.5 },
        }),
        stat({
          title: 'Oldest figures',
          description: 'Since when what comes from the database has not been read by some replica.',
          unit: 's',
          query: 'max(time() - iocloud_state_refresh_timestamp_seconds)',
          thresholds: { amber: 60, red: 300 },
        }),
      ],
    },
    {
      title: 'Loops',
      panels: [
        table({
          title: 'Intervals since the last success',
          description:
            'How many of its own pauses ago each loop last came to its end. Above some ten: it hangs or fails.',
          unit: 'short',
          query:
            'topk(20, (time() - max by (loop) (iocloud_loop_last_success_timestamp_seconds)) / max by (loop) (iocloud_loop_interval_seconds))',
          columns: ['loop'],
          value: 'intervals',
        }),
        series({
          title: 'Errors of loops',
          description: 'Turns that failed.',
          unit: 'ops',
          width: 12,
          queries: [
            [
              'sum by (loop) (rate(iocloud_loop_errors_total{instance=~"$instance"}[$__rate_interval])) > 0',
              '{{loop}}',
            ],
          ],
        }),
        series({
          title: 'Duration of turns, 95 %',
          description: 'The slowest ten.',
          unit: 's',
          queries: [
            [
              `topk(10, ${quantile(0.95, 'iocloud_loop_duration_seconds', { labels: '{instance=~"$instance"}', by: 'loop' })})`,
              '{{loop}}',
            ],
          ],
        }),
        series({
          title: 'Wake-ups handled, 95 %',
          description: 'By topic.',
          unit: 's',
          queries: [
            [
              quantile(0.95, 'iocloud_wakeup_duration_seconds', { labels: '{instance=~"$instance"}', by: 'topic' }),
              '{{topic}}',
            ],
          ],
        }),
        series({
          title: 'Wake-ups that wait',
          description: 'In BullMQ, by topic.',
          unit: 'short',
          queries: [
            ['max by (topic, state) (iocloud_wakeup_queue_depth{state=~"waiting|delayed"})', '{{topic}} {{state}}'],
          ],
        }),
        series({
          title: 'Wake-ups that failed',
          description: 'Sweeps come back to them.',
          unit: 'ops',
          queries: [['sum by (topic) (rate(iocloud_wakeup_errors_total[$__rate_interval]))', '{{topic}}']],
        }),
      ],
    },
    {
      title: 'PostgreSQL and Redis',
      panels: [
        series({
          title: 'Connections',
          description: 'Of each replica’s pool.',
          unit: 'short',
          queries: [
            ['iocloud_postgres_connections{instance=~"$instance"}', '{{instance}} {{state}}'],
            ['iocloud_postgres_connections_limit{instance=~"$instance"}', '{{instance}} limit'],
          ],
        }),
        series({
          title: 'Statements and transactions, 95 %',
          description: 'Waiting for a connection included.',
          unit: 's',
          queries: [
            [
              quantile(0.95, 'iocloud_postgres_query_duration_seconds', { labels: '{instance=~"$instance"}' }),
              'statements',
            ],
            [
              quantile(0.95, 'iocloud_postgres_transaction_duration_seconds', { labels: '{instance=~"$instance"}' }),
              'transactions',
            ],
          ],
        }),
        series({
          title: 'Failures',
          description: 'Statements and transactions that failed, conflicts that are tried again among them.',
          unit: 'ops',
          queries: [
            [
              'sum by (kind) (rate(iocloud_postgres_errors_total{instance=~"$instance"}[$__rate_interval]))',
              '{{kind}}',
            ],
          ],
        }),
        series({
          title: 'Ping of Redis',
          description: 'How long the last answer took.',
          unit: 's',
          queries: [['iocloud_redis_ping_seconds{instance=~"$instance"}', '{{instance}}']],
        }),
        series({
          title: 'Outbox',
          description: 'Wake-ups that Redis has not taken yet.',
          unit: 'short',
          queries: [['max(iocloud_outbox_rows)', 'rows']],
        }),
        series({
          title: 'Reading the figures',
          description: 'Duration of one reading of all that comes from the database.',
          unit: 's',
          queries: [
            [quantile(0.95, 'iocloud_state_refresh_duration_seconds', { labels: '{instance=~"$instance"}' }), '95 %'],
          ],
        }),
      ],
    },
    {
      title: 'Processes',
      panels: [
        series({
          title: 'Processor time',
          description: 'One processor is 1.',
          unit: 'short',
          queries: [['rate(process_cpu_seconds_total{instance=~"$instance"}[$__rate_interval])', '{{instance}}']],
        }),
        series({
          title: 'Memory',
          description: 'Resident, and JavaScript’s heap.',
          unit: 'bytes',
          queries: [
            ['process_resident_memory_bytes{instance=~"$instance"}', '{{instance}} resident'],
            ['nodejs_heap_size_used_bytes{instance=~"$instance"}', '{{instance}} heap'],
          ],
        }),
        series({
          title: 'Event loop',
          description: 'Lag, 99 %.',
          unit: 's',
          queries: [['nodejs_eventloop_lag_p99_seconds{instance=~"$instance"}', '{{instance}}']],
        }),
        series({
          title: 'Events written',
          description: 'By severity: what users and operators are told.',
          unit: 'ops',
          queries: [['sum by (severity) (rate(iocloud_events_total[$__rate_interval]))', '{{severity}}']],
        }),
        table({
          title: 'Events of the last hour',
          description: 'Warnings and errors by reason.',
          unit: 'short',
          query:
            'topk(20, sum by (subject_kind, reason) (increase(iocloud_events_total{severity=~"warning|error"}[1h])) > 0)',
          columns: ['subject_kind', 'reason'],
          value: 'events',
        }),
        series({
          title: 'Spans',
          description: 'Handed to the collector of traces, where there is one.',
          unit: 'ops',
          queries: [['sum by (result) (rate(iocloud_trace_spans_total[$__rate_interval]))', '{{result}}']],
        }),
      ],
    },
  ],
};
