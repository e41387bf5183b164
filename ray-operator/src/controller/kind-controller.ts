/** The controller of one kind: with its queue, its statuses and its events, following its own objects. */
import type { KubernetesClient } from '../kubernetes/client.js';
import { type Informer, keyOf } from '../kubernetes/informer.js';
import type { Resource } from '../kubernetes/resources.js';
import type { WorkQueue } from '../kubernetes/work-queue.js';
import { Controller, type ControllerSettings } from './controller.js';
import { EventRecorder } from './events.js';
import { StatusWriter, type WithStatus } from './status-writer.js';

export interface KindSettings extends ControllerSettings {
  client: KubernetesClient;
  /** Of this operator, for the events that it writes. */
  identity: string;
}

export interface Kind<T extends WithStatus<object>> {
  apiVersion: string;
  kind: string;
  resource: Resource;
  /** The local copy of its objects. */
  objects: Informer<T>;
}

export abstract class KindController<S extends object, T extends WithStatus<S>> {
  protected readonly queue: WorkQueue;
  protected readonly statuses: StatusWriter<S, T>;
  protected readonly events: EventRecorder;
  private readonly controller: Controller;

  constructor({ apiVersion, kind, resource, objects }: Kind<T>, settings: KindSettings) {
    const { client, log, identity, signal, metrics } = settings;
    const onDropped = () => metrics.eventsDropped.inc();
    this.events = new EventRecorder({ client, log, apiVersion, kind, identity, signal, onDropped });
    this.statuses = new StatusWriter({ client, resource, apiVersion, kind, signal });
    this.controller = new Controller(
      { name: kind.toLowerCase(), keys: () => objects.objects.keys(), reconcile: key => this.reconcile(key) },
      settings,
    );
    this.queue = this.controller.queue;
    objects.onChange((change, object) => {
      const key = keyOf(object);
      if (change === 'deleted') {
        this.statuses.forget(key);
        this.forget(key);
      }
      this.queue.add(key);
    });
  }

  start(): void {
    this.controller.start();
  }

  stop(): Promise<void> {
    return this.controller.stop();
  }

  /** Brings the world nearer to what this object says; what it throws is logged, and the key comes again. */
  protected abstract reconcile(key: string): Promise<void>;

  /** What was remembered of an object that is gone. */
  protected forget(_key: string): void {
    // Most remember nothing but the status.
  }
}
