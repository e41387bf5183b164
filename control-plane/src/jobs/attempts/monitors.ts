/** The attempts that this process follows: one monitor for each, found again by the sweep after a crash. */
import type { AttemptId, ClusterId } from '@iocloud/contracts';
import { type TopicHandler, withIds } from '../../platform/index.js';
import { HeadStatuses } from './head-statuses.js';
import { AttemptMonitor, type MonitorWiring } from './monitor.js';
import { attemptsWithNews, liveAttempts } from './store.js';

/** There may be very many attempts: all are read only so often, and otherwise those that began in the last seconds. */
const allEveryMs = 10_000;
const recentSeconds = 3;

export class AttemptMonitors implements TopicHandler {
  readonly #running = new Map<AttemptId, { monitor: AttemptMonitor; done: Promise<void> }>();
  readonly #followed = new Map<ClusterId, Set<AttemptMonitor>>();
  readonly #statuses: HeadStatuses;
  #stopped = false;
  #allReadAtMs = Number.NEGATIVE_INFINITY;

  constructor(readonly wiring: Omit<MonitorWiring, 'followedOn' | 'clustersFollowed' | 'statuses' | 'joined'>) {
    this.#statuses = new HeadStatuses({
      ...wiring,
      followedOn: clusterId => this.#followedOn(clusterId),
      heard: (clusterId, jobs) => {
        for (const monitor of this.#followed.get(clusterId) ?? []) monitor.hear(jobs);
      },
    });
  }

  /** Returns at once: an attempt may take days. */
  async handle(key: string): Promise<void> {
    const id = key as AttemptId;
    const running = this.#running.get(id);
    if (running) running.monitor.poke();
    else if (!this.#stopped) this.#follow(id);
  }

  /** What a wake-up that was lost would have told, and now and then whatever lives and is not followed. */
  async sweep(): Promise<string[]> {
    const { database, now } = this.wiring;
    const { begun, told } = await attemptsWithNews(database, recentSeconds);
    const isDue = now() - this.#allReadAtMs >= allEveryMs;
    const live = isDue ? await liveAttempts(database) : [];
    if (isDue) this.#allReadAtMs = now();
    return [...told, ...[...begun, ...live].filter(id => !this.#running.has(id))];
  }

  #follow(id: AttemptId): void {
    const monitor = new AttemptMonitor(
      {
        ...this.wiring,
        statuses: this.#statuses,
        followedOn: clusterId => this.#followedOn(clusterId),
        clustersFollowed: () => this.#followed.size,
        joined: clusterId => {
          const others = this.#followed.get(clusterId);
          if (others) others.add(monitor);
          else this.#followed.set(clusterId, new Set([monitor]));
        },
      },
      id,
    );
    const done = withIds({ attempt: id }, () => monitor.run()).finally(() => {
      this.#running.delete(id);
      if (monitor.clusterId) this.#left(monitor.clusterId, monitor);
    });
    this.#running.set(id, { monitor, done });
  }

  #followedOn(clusterId: ClusterId): number {
    return this.#followed.get(clusterId)?.size ?? 0;
  }

  #left(clusterId: ClusterId, monitor: AttemptMonitor): void {
    const followed = this.#followed.get(clusterId);
    followed?.delete(monitor);
    if (followed?.size === 0) this.#followed.delete(clusterId);
  }

  /** Stops following; the attempts go on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { monitor } of this.#running.values()) monitor.stop();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }
}
