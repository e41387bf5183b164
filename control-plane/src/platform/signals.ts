/**
 * "There is news of X": hints to whoever waits (log followers, event streams), inside this process and over Redis to
 * the other replicas. A hint can be lost; every waiter also looks by itself from time to time.
 */
import { EventEmitter } from 'node:events';
import { Redis } from 'ioredis';
import type { Logger } from './log.js';

/** 'access': who may enter which lease has changed. */
export type Signal = `log:${string}` | `job:${string}` | `events:${string}` | 'access';

const channel = 'iocloud:signals';

export class Signals {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  readonly #publisher: Redis;
  readonly #subscriber: Redis;
  readonly #toPublish = new Set<Signal>();

  constructor(
    redisUrl: string,
    readonly replicaId: string,
    log: Logger,
  ) {
    const retryStrategy = (attempt: number) => Math.min(100 * attempt, 1_000);
    this.#publisher = new Redis(redisUrl, { enableOfflineQueue: false, maxRetriesPerRequest: 0, retryStrategy });
    this.#subscriber = new Redis(redisUrl, { maxRetriesPerRequest: null, retryStrategy });
    for (const connection of [this.#publisher, this.#subscriber]) {
      connection.on('error', error => log.debug({ error: error.message }, 'signals: Redis does not answer'));
    }
    this.#subscriber.on('message', (_channel: string, message: string) => {
      const [from, ...signals] = message.split(' ');
      if (from !== replicaId) for (const signal of signals) this.#emitter.emit(signal);
    });
    this.#subscriber
      .subscribe(channel)
      .catch((error: Error) => log.debug({ error: error.message }, 'signals: not subscribed yet'));
  }

  send(signal: Signal): void {
    this.#emitter.emit(signal);
    // What is sent in one turn goes in one message.
    if (this.#toPublish.size === 0) setImmediate(() => this.#publish());
    this.#toPublish.add(signal);
  }

  #publish(): void {
    const message = [this.replicaId, ...this.#toPublish].join(' ');
    this.#toPublish.clear();
    // Offline, a hint is dropped at once: the waiters' own timers are for that.
    if (this.#publisher.status === 'ready') this.#publisher.publish(channel, message).catch(() => undefined);
  }

  on(signal: Signal, listener: () => void): () => void {
    this.#emitter.on(signal, listener);
    return () => this.#emitter.off(signal, listener);
  }

  /**
   * A waiter for one signal that misses none between two waits: `next(timeoutMs)` resolves at the first signal since
   * the last call, or after the time.
   */
  waiter(signal: Signal): { next(timeoutMs: number): Promise<void>; close(): void } {
    let pending = false;
    let resolve: (() => void) | undefined;
    const off = this.on(signal, () => {
      pending = true;
      resolve?.();
    });
    return {
      next: timeoutMs =>
        new Promise<void>(done => {
          const finish = () => {
            clearTimeout(timer);
            resolve = undefined;
            pending = false;
            done();
          };
          const timer = setTimeout(finish, timeoutMs);
          resolve = finish;
          if (pending) finish();
        }),
      close: () => {
        off();
        resolve?.();
      },
    };
  }

  close(): void {
    this.#publisher.disconnect();
    this.#subscriber.disconnect();
  }
}
