/** Metrics under the names that dashboards for Kubernetes controllers know. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { QueueObserver } from './kubernetes/work-queue.js';
export type Metrics = ReturnType<typeof createMetrics>;
export declare function createMetrics(): {
  register: Registry<'text/plain; version=0.0.4; charset=utf-8'>;
  queue: QueueObserver;
  observeRequest: (method: string, code: string) => void;
  observeReconciliation(result: 'success' | 'error', durationSeconds: number): void;
  leading: Gauge<string>;
  objects: Gauge<string>;
  lists: Gauge<string>;
  podsCreated: Counter<string>;
  podsDeleted: Counter<string>;
  expectationsExpired: Counter<string>;
  eventsDropped: Counter<string>;
};
