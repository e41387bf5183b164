/** Events of the objects of one kind, for `kubectl describe`: told once in a while each, and never at the cost of the work itself. */
import type { KubernetesObject, Manifest } from '../core/kubernetes-objects.js';
import { operatorName } from '../core/names.js';
import { rfc3339 } from '../core/time.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { resources } from '../kubernetes/resources.js';
import type { Logger } from '../log.js';

export type EventType = 'Normal' | 'Warning';

const repeatAfterMs = 300_000;
const remembered = 2_000;
const queueLimit = 500;
const parallel = 4;
const longestMessage = 1_024;

export interface EventRecorderOptions {
  client: KubernetesClient;
  log: Logger;
  apiVersion: string;
  kind: string;
  identity: string;
  onDropped: () => void;
  signal: AbortSignal;
}

export class EventRecorder {
  private readonly told = new Map<string, number>();
  private readonly queue: Manifest[] = [];
  private sending = 0;
  private sequence = 0;

  constructor(private readonly options: EventRecorderOptions) {}

  record(object: KubernetesObject, type: EventType, reason: string, message: string): void {
    const now = new Date();
    const fact = `${object.metadata.uid} ${reason} ${message}`;
    const before = this.told.get(fact);
    if (before !== undefined && now.getTime() - before < repeatAfterMs) return;
    this.told.delete(fact);
    this.told.set(fact, now.getTime());
    if (this.told.size > remembered) this.told.delete(this.told.keys().next().value ?? '');
    if (this.queue.length >= queueLimit) {
      this.options.onDropped();
      return;
    }
    this.queue.push(this.event(object, type, reason, message.slice(0, longestMessage), now));
    this.pump();
  }

  private event(object: KubernetesObject, type: EventType, reason: string, message: string, now: Date): Manifest {
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const { apiVersion = 'ray.io/v1', kind } = this.options;
    this.sequence += 1;
    const at = rfc3339(now.getTime());
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${now.getTime().toString(16)}${this.sequence.toString(16)}`, namespace },
      involvedObject: { apiVersion, kind, name, namespace, uid, resourceVersion },
      type,
      reason,
      message,
      count: 1,
      firstTimestamp: at,
      lastTimestamp: at,
      source: { component: operatorName },
      reportingComponent: operatorName,
      reportingInstance: this.options.identity.slice(-128),
    };
  }

  private pump(): void {
    while (this.sending < parallel) {
      const next = this.queue.shift();
      if (!next) return;
      this.sending += 1;
      void this.send(next);
    }
  }

  private async send(event: Manifest): Promise<void> {
    const { client, log, onDropped, signal } = this.options;
    try {
      await client.create(resources.events, event, signal);
    } catch (error) {
      if (!signal.aborted) log.debug({ err: error, reason: event.reason }, 'an event was not written');
      onDropped();
    }
    this.sending -= 1;
    this.pump();
  }
}
