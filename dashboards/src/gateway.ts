/** Everything that comes in by HTTP, and the tunnels behind it. */
import type { Board } from './board.js';
import { quantile } from './expressions.js';
import { series, stat, table } from './panels.js';

const api = '{api=~"$api"}';

export const gateway: Board = {
  uid: 'gateway',
  title: 'Gateway',
  description:
    'Rate, errors and duration of the Jobs API, REST and the dashboard passthrough, and streams through tunnels.',
  variables: [{ name: 'api', label: 'API', query: 'label_values(iocloud_http_requests_total, api)' }],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Calls',
          description: 'Answered calls a second.',
          unit: 'reqps',
          query: `sum(rate(iocloud_http_requests_total${api}[5m]))`,
        }),
        stat({
          title: 'Server errors',
          description: 'Share of calls that were answered with 5xx.',
          unit: 'percentunit',
          query: `(sum(rate(iocloud_http_requests_total{api=~"$api", code=~"5.."}[5m])) or vector(0)) / sum(rate(iocloud_http_requests_total${api}[5m]))`,
          thresholds: { amber: 0.001, red: 0.01 },
        }),
        stat({
          title: 'Submissions refused by fault',
          description: 'Of `ray job submit` and its like that ended in 5xx, within the time shown.',
          unit: 'short',
          query:
            'sum(increase(iocloud_http_requests_total{operation="raySubmitJob", code=~"5.."}[$__range])) or vector(0)',
          thresholds: { amber: 1, red: 10 },
        }),
        stat({
          title: 'Duration, 99 %',
          description: 'Over the last five minutes; streams last as long as they are read, and are left out.',
          unit: 's',
          query: quantile(0.99, 'iocloud_http_request_duration_seconds', {
            labels: '{api=~"$api", operation!~"clusterDashboard|.*[sS]tream.*|.*[tT]ail.*"}',
            over: '5m',
          }),
          thresholds: { amber: 0.5, red: 2 },
        }),
        stat({
          title: 'Being answered',
          description: 'Calls that are under way.',
          unit: 'short',
          query: `sum(iocloud_http_requests_in_flight${api})`,
        }),
        stat({
          title: 'WebSockets',
          description: 'Dashboards, logs, terminals, forwarded ports.',
          unit: 'short',
          query: 'sum(iocloud_websockets_open)',
          noValue: '0',
        }),
      ],
    },
    {
      title: 'Calls',
      panels: [
        series({
          title: 'Rate by API',
          description: 'Answered calls.',
          unit: 'reqps',
          stack: true,
          queries: [[`sum by (api) (rate(iocloud_http_requests_total${api}[$__rate_interval]))`, '{{api}}']],
        }),
        series({
          title: 'Answers by code',
          description:
            '4xx is the caller’s fault; a jump of 401 is a key that was revoked or expired; 499: the caller left.',
          unit: 'reqps',
          queries: [[`sum by (code) (rate(iocloud_http_requests_total${api}[$__rate_interval]))`, '{{code}}']],
        }),
        series({
          title: 'Server errors by operation',
          description: 'Which route fails.',
          unit: 'reqps',
          queries: [
            [
              'sum by (operation) (rate(iocloud_http_requests_total{api=~"$api", code=~"5.."}[$__rate_interval]))',
              '{{operation}}',
            ],
          ],
        }),
        series({
          title: 'Duration, 95 %, by API',
          description: 'From the request to the end of its answer.',
          unit: 's',
          queries: [[quantile(0.95, 'iocloud_http_request_duration_seconds', { labels: api, by: 'api' }), '{{api}}']],
        }),
        table({
          title: 'Slowest operations',
          description: 'Mean duration over the last hour.',
          unit: 's',
          query: `topk(15, sum by (api, operation) (rate(iocloud_http_request_duration_seconds_sum${api}[1h])) / sum by (api, operation) (rate(iocloud_http_request_duration_seconds_count${api}[1h])) > 0)`,
          columns: ['api', 'operation'],
          value: 'mean',
        }),
      ],
    },
    {
      title: 'Tunnels and sessions',
      panels: [
        series({
          title: 'Streams asked of agents',
          description: 'Opened, and not: `offline` machines, leases that are not ready.',
          unit: 'ops',
          queries: [['sum by (result) (rate(iocloud_agent_streams_total[$__rate_interval]))', '{{result}}']],
        }),
        series({
          title: 'Streams open',
          description: 'By what they carry.',
          unit: 'short',
          stack: true,
          queries: [['sum by (kind) (iocloud_agent_streams_open)', '{{kind}}']],
        }),
        series({
          title: 'Sessions open',
          description: 'Shells, copies and forwarded ports into leases.',
          unit: 'short',
          stack: true,
          queries: [['sum by (kind, via) (iocloud_sessions_open)', '{{kind}} via {{via}}']],
        }),
        series({
          title: 'Sessions asked for',
          description: 'Opened and refused.',
          unit: 'ops',
          queries: [['sum by (kind, result) (rate(iocloud_sessions_total[$__rate_interval]))', '{{kind}} {{result}}']],
        }),
        series({
          title: 'Logins waiting',
          description: 'SSH connections whose login waits for its turn: rises as a whole fleet reconnects.',
          unit: 'short',
          queries: [['sum(iocloud_ssh_logins_waiting)', 'waiting']],
        }),
      ],
    },
  ],
};
