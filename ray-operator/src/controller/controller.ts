/** What all controllers do alike: a queue of keys, measured reconciliations, and a look at everything from time to time. */
import { WorkQueue } from '../kubernetes/work-queue.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';

export interface ControllerWork {
  /** Of the kind in lower case, as controllers are called in metrics. */
  name: string;
  /** Of all objects that there are. */
  keys: () => Iterable<string>;
  /** Brings the world nearer to what this object says; what it throws is logged, and the key comes again. */
  reconcile: (key: string) => Promise<void>;
}

export interface ControllerSettings {
  log: Logger;
  metrics: Metrics;
  concurrency: number;
  resyncMs: number;
  /** Aborts when the lease is lost: nothing more may be written. */
  signal: AbortSignal;
}

export class Controller {
  readonly queue: WorkQueue;
  private resync: NodeJS.Timeout | undefined;

  constructor(
    private readonly work: ControllerWork,
    private readonly settings: ControllerSettings,
  ) {
    const { log, metrics, signal, concurrency } = settings;
    const measures = metrics.ofController(work.name);
    this.queue = new WorkQueue({
      concurrency,
      observer: measures.queue,
      work: async key => {
        const started = performance.now();
        const seconds = () => (performance.now() - started) / 1000;
        try {
          await work.reconcile(key);
          measures.reconciled('success', seconds());
        } catch (error) {
          measures.reconciled('error', seconds());
          throw error;
        }
      },
      onFailure: (key, err, pauseMs) => {
        if (!signal.aborted) log.warn({ [work.name]: key, err, pauseMs }, 'will try again');
      },
    });
  }

  start(): void {
    const { resyncMs } = this.settings;
    for (const key of this.work.keys()) this.queue.add(key);
    this.queue.start();
    this.resync = setInterval(() => {
      // Spread over the time until the next: a thousand objects are not all looked at in one second.
      for (const key of this.work.keys()) this.queue.addAfter(key, Math.random() * resyncMs);
    }, resyncMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.resync);
    await this.queue.stop();
    this.queue.dispose();
  }
}
