/** The attempts that this process follows: one monitor for each, found again by the sweep after a crash. */
import type { AttemptId, ClusterId } from '@iocloud/contracts';
import type { TopicHandler } from '../../platform/index.js';
import { AttemptMonitor, type MonitorWiring } from './monitor.js';
import { liveAttempts } from './store.js';

export class AttemptMonitors implements TopicHandler {
  readonly #running = new Map<AttemptId, { monitor: AttemptMonitor; done: Promise<void> }>();
  #stopped = false;

  constructor(readonly wiring: Omit<MonitorWiring, 'followedOn'>) {}

  /** Returns at once: an attempt may take days. */
  async handle(key: string): Promise<void> {
    const id = key as AttemptId;
    const running = this.#running.get(id);
    if (running) running.monitor.poke();
    else if (!this.#stopped) this.#follow(id);
  }

  async sweep(): Promise<string[]> {
    const live = await liveAttempts(this.wiring.database);
    return live.filter(id => !this.#running.has(id));
  }

  #follow(id: AttemptId): void {
    const monitor = new AttemptMonitor({ ...this.wiring, followedOn: clusterId => this.#followedOn(clusterId) }, id);
    const done = monitor.run().finally(() => this.#running.delete(id));
    this.#running.set(id, { monitor, done });
  }

  #followedOn(clusterId: ClusterId): number {
    let count = 0;
    for (const { monitor } of this.#running.values()) if (monitor.clusterId === clusterId) count += 1;
    return count;
  }

  /** Stops following; the attempts go on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { monitor } of this.#running.values()) monitor.stop();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }
}
