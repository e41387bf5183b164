/** `ray-operator` on Kubernetes. */
import type { Board } from './board.js';
import { quantile } from './expressions.js';
import { series, stat } from './panels.js';

export const operator: Board = {
  uid: 'operator',
  title: 'Kubernetes operator',
  description: 'Reconciliations, the work queue, requests to the API server, and pods made and deleted.',
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Leaders',
          description: 'One, always. None: nothing is reconciled.',
          unit: 'short',
          query: 'sum(leader_election_master_status)',
          thresholds: { amber: 1, red: 1, low: true },
          noValue: 'no operator',
        }),
        stat({
          title: 'Waiting',
          description: 'Objects that wait for a worker.',
          unit: 'short',
          query: 'sum(workqueue_depth)',
          thresholds: { amber: 100, red: 1_000 },
          noValue: 'no operator',
        }),
        stat({
          title: 'Failing',
          description: 'Share of the looks that failed, over five minutes.',
          unit: 'percentunit',
          query:
            'sum(rate(controller_runtime_reconcile_errors_total[5m])) / sum(rate(controller_runtime_reconcile_total[5m]))',
          thresholds: { amber: 0.05, red: 0.5 },
          noValue: 'no looks',
        }),
        stat({
          title: 'Lists',
          description: 'Full lists within the time shown: more than one of each kind a term means watches break.',
          unit: 'short',
          query: 'sum(increase(ray_operator_lists[$__range]))',
          noValue: 'no operator',
        }),
      ],
    },
    {
      title: 'Reconciling',
      panels: [
        series({
          title: 'Looks',
          description: 'By result.',
          unit: 'ops',
          queries: [
            [
              'sum by (controller, result) (rate(controller_runtime_reconcile_total[$__rate_interval]))',
              '{{controller}} {{result}}',
            ],
          ],
        }),
        series({
          title: 'Duration of a look, 95 %',
          description: 'Making pods included.',
          unit: 's',
          queries: [
            [quantile(0.95, 'controller_runtime_reconcile_time_seconds', { by: 'controller' }), '{{controller}}'],
          ],
        }),
        series({
          title: 'Wait for a worker, 95 %',
          description: 'Above some seconds: more concurrency, or an API server that is slow.',
          unit: 's',
          queries: [[quantile(0.95, 'workqueue_queue_duration_seconds', { by: 'name' }), '{{name}}']],
        }),
        series({
          title: 'Work on a key, 95 %',
          description: 'As the queue sees it.',
          unit: 's',
          queries: [[quantile(0.95, 'workqueue_work_duration_seconds', { by: 'name' }), '{{name}}']],
        }),
        series({
          title: 'Keys in and again',
          description: 'Put into the queue, and come again after a failure.',
          unit: 'ops',
          queries: [
            ['sum by (name) (rate(workqueue_adds_total[$__rate_interval]))', '{{name}}'],
            ['sum by (name) (rate(workqueue_retries_total[$__rate_interval]))', '{{name}} again'],
          ],
        }),
      ],
    },
    {
      title: 'Kubernetes',
      panels: [
        series({
          title: 'Requests',
          description:
            'To the API server. 429: it throttles; 409: others write the same objects; 403: a right is missing.',
          unit: 'reqps',
          queries: [
            ['sum by (method, code) (rate(rest_client_requests_total[$__rate_interval]))', '{{method}} {{code}}'],
          ],
        }),
        series({
          title: 'Pods',
          description: 'Made and deleted.',
          unit: 'ops',
          queries: [
            ['sum(rate(ray_operator_pods_created_total[$__rate_interval]))', 'made'],
            ['sum(rate(ray_operator_pods_deleted_total[$__rate_interval]))', 'deleted'],
          ],
        }),
        series({
          title: 'Local copies',
          description: 'Objects that are kept, by kind.',
          unit: 'short',
          queries: [['max by (kind) (ray_operator_cached_objects)', '{{kind}}']],
        }),
        series({
          title: 'Given up',
          description: 'Waits for the local copy that ran out, and events that were not written.',
          unit: 'ops',
          queries: [
            ['sum(rate(ray_operator_expectations_expired_total[$__rate_interval]))', 'waits'],
            ['sum(rate(ray_operator_events_dropped_total[$__rate_interval]))', 'events'],
          ],
        }),
      ],
    },
  ],
};
