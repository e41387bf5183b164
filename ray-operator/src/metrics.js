/** Metrics under the names that dashboards for Kubernetes controllers know. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

const controller = 'raycluster';
const seconds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];
export function createMetrics() {
  const register = new Registry();
  const registers = [register];
  const name = { name: controller };
  const histogram = (metric, help) =>
    new Histogram({ name: metric, help, labelNames: ['name'], buckets: seconds, registers });
  const counter = (metric, help, labelNames) => new Counter({ name: metric, help, labelNames, registers });
  const gauge = (metric, help, labelNames = []) => new Gauge({ name: metric, help, labelNames, registers });
  const depth = gauge('workqueue_depth', 'Keys that wait for a worker', ['name']);
  const adds = counter('workqueue_adds_total', 'Keys that were put into the queue', ['name']);
  const retries = counter('workqueue_retries_total', 'Keys that come again after a failure', ['name']);
  const waited = histogram('workqueue_queue_duration_seconds', 'How long a key waited for a worker');
  const worked = histogram('workqueue_work_duration_seconds', 'How long a worker took for a key');
  const queue = {
    added: () => adds.inc(name),
    depth: value => depth.set(name, value),
    waited: value => waited.observe(name, value),
    worked: value => worked.observe(name, value),
    retried: () => retries.inc(name),
  };
  const requests = counter('rest_client_requests_total', 'Requests to the API server', ['method', 'code']);
  const reconciled = counter('controller_runtime_reconcile_total', 'Reconciliations by result', [
    'controller',
    'result',
  ]);
  const errors = counter('controller_runtime_reconcile_errors_total', 'Reconciliations that failed', ['controller']);
  const time = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'How long a reconciliation took',
    labelNames: ['controller'],
    buckets: seconds,
    registers,
  });
  return {
    register,
    queue,
    observeRequest: (method, code) => requests.inc({ method, code }),
    observeReconciliation(result, durationSeconds) {
      reconciled.inc({ controller, result });
      if (result === 'error') errors.inc({ controller });
      time.observe({ controller }, durationSeconds);
    },
    leading: gauge('leader_election_master_status', '1 while this process holds the lease'),
    objects: gauge('ray_operator_cached_objects', 'Objects in the local copy, by kind', ['kind']),
    lists: gauge('ray_operator_lists', 'Full lists that the local copies of this term have needed', ['kind']),
    podsCreated: counter('ray_operator_pods_created_total', 'Pods made', []),
    podsDeleted: counter('ray_operator_pods_deleted_total', 'Pods deleted', []),
    expectationsExpired: counter(
      'ray_operator_expectations_expired_total',
      'Waits for the local copy that were given up',
      [],
    ),
    eventsDropped: counter('ray_operator_events_dropped_total', 'Events that were not written', []),
  };
}
//# sourceMappingURL=metrics.js.map
