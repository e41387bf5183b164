/**
 * Wake-ups: "look at X again". A change in PostgreSQL commits together with an outbox row; the relay carries the row to
 * a Redis queue (BullMQ), a worker of any replica takes it and runs the topic's handler, which reads the truth from
 * PostgreSQL. A wake-up carries nothing but a key, so it may come twice, late, or never: the sweep finds in PostgreSQL
 * what should have been woken. Redis may die and lose all of it.
 */
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Database, Transaction } from './database.js';
import type { Logger } from './log.js';
import { counter, Durations, workBuckets } from './metrics.js';
import { Turns } from './recurring.js';
import type { StateSource } from './state-reader.js';
import { readWakeups } from './wakeup-state.js';

export type Topic = 'cluster' | 'node' | 'dispatch' | 'attempt' | 'billing' | 'metering';

/** Asks for a look at `key` once the transaction has committed. */
export const wake = (tx: Transaction, topic: Topic, key: string): Promise<void> => wakeAll(tx, topic, [key]);

/** Asks for a look at each of the keys. */
export async function wakeAll(tx: Transaction, topic: Topic, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await tx.query({
    name: 'wake',
    text: 'INSERT INTO outbox (topic, key) SELECT $1::text, unnest($2::text[])',
    values: [topic, keys],
  });
}

export interface TopicHandler {
  /** Must be idempotent. Never runs twice at a time for one key in this process. */
  handle(key: string): Promise<void>;
  /** Keys that need a look by what PostgreSQL says, whether or not anybody woke them. */
  sweep(): Promise<string[]>;
}

const relayBatch = 500;
const relayIntervalMs = 1_000;

const handled = new Durations('iocloud_wakeup_duration_seconds', 'Handling of one key', ['topic'], workBuckets);
const errors = counter('iocloud_wakeup_errors_total', 'Handlings that failed; the sweep comes back to them', ['topic']);
const queueName = (topic: Topic) => `iocloud-${topic}`;

/**
 * Runs one handler a key at a time; a key woken while it runs, runs once more afterwards, so that no change between its
 * read and its end is missed.
 */
export class KeyedRunner {
  readonly #running = new Map<string, { again: boolean; done: Promise<void> }>();

  constructor(readonly work: (key: string) => Promise<void>) {}

  run(key: string): Promise<void> {
    const current = this.#running.get(key);
    if (current) {
      current.again = true;
      return current.done;
    }
    const entry = { again: false, done: Promise.resolve() };
    entry.done = this.#loop(key, entry);
    this.#running.set(key, entry);
    return entry.done;
  }

  async #loop(key: string, entry: { again: boolean }): Promise<void> {
    try {
      do {
        entry.again = false;
        await this.work(key);
      } while (entry.again);
    } finally {
      this.#running.delete(key);
    }
  }

  /** Resolves when nothing runs any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled([...this.#running.values()].map(entry => entry.done));
  }
}

interface Wiring {
  database: Database;
  redisUrl: string;
  log: Logger;
  handlers: Record<Topic, TopicHandler>;
  /** How often the sweep and the relay's safety net run, in milliseconds. */
  sweepIntervalMs?: number;
  concurrency?: number;
}

export class Wakeups {
  readonly #runners = new Map<Topic, KeyedRunner>();
  readonly #queues = new Map<Topic, Queue>();
  readonly #workers: Worker[] = [];
  readonly #connections: Redis[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #listener: pg.Client | undefined;
  #relaying: Promise<void> | undefined;
  #relayAgain = false;
  #stopped = false;

  constructor(readonly wiring: Wiring) {}

  async start(): Promise<void> {
    const { handlers, sweepIntervalMs = 1_000, concurrency = 16 } = this.wiring;
    for (const [topic, handler] of Object.entries(handlers) as [Topic, TopicHandler][]) {
      const runner = new KeyedRunner(key => this.#guarded(topic, key, handler));
      this.#runners.set(topic, runner);
      const queue = new Queue(queueName(topic), { connection: this.#redis(true) });
      queue.on('error', error => this.#redisTrouble(error));
      this.#queues.set(topic, queue);
      const worker = new Worker(queueName(topic), async job => runner.run(String(job.data.key)), {
        connection: this.#redis(false),
        concurrency,
        removeOnComplete: { count: 0 },
        removeOnFail: { count: 0 },
      });
      worker.on('error', error => this.#redisTrouble(error));
      this.#workers.push(worker);
    }
    await this.#listen();
    this.#timers.push(setInterval(() => void this.sweepNow(), sweepIntervalMs));
    this.#timers.push(setInterval(() => void this.relayNow(), relayIntervalMs));
    await this.sweepNow();
  }

  /** Looks at everything that PostgreSQL says needs a look, past Redis: what keeps the system going without it. */
  async sweepNow(): Promise<void> {
    for (const [topic, handler] of Object.entries(this.wiring.handlers) as [Topic, TopicHandler][]) {
      if (this.#stopped) return;
      try {
        const keys = await this.#turnsOf(`sweep-${topic}`, this.wiring.sweepIntervalMs ?? 1_000).count(() =>
          handler.sweep(),
        );
        for (const key of keys) void this.#runners.get(topic)?.run(key);
      } catch (error) {
        this.wiring.log.warn({ topic, error: String(error) }, 'a sweep failed and will be tried again');
      }
    }
  }

  /** Carries all outbox rows to Redis. Rows stay until Redis has taken them. */
  relayNow(): Promise<void> {
    if (this.#relaying) {
      this.#relayAgain = true;
      return this.#relaying;
    }
    this.#relaying = this.#relay().finally(() => {
      this.#relaying = undefined;
      if (this.#relayAgain && !this.#stopped) {
        this.#relayAgain = false;
        void this.relayNow();
      }
    });
    return this.#relaying;
  }

  async #relay(): Promise<void> {
    try {
      await this.#turnsOf('outbox-relay', relayIntervalMs).count(async () => {
        for (let taken = relayBatch; taken === relayBatch && !this.#stopped; ) taken = await this.#relayOnce();
      });
    } catch (error) {
      this.wiring.log.warn({ error: String(error) }, 'the outbox could not be relayed and will be tried again');
    }
  }

  #relayOnce(): Promise<number> {
    return this.wiring.database.transaction(async tx => {
      const { rows } = await tx.query<{ topic: Topic; key: string }>(
        `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING topic, key`,
        [relayBatch],
      );
      for (const [topic, queue] of this.#queues) {
        const keys = new Set(rows.filter(row => row.topic === topic).map(row => row.key));
        if (keys.size > 0) await queue.addBulk([...keys].map(key => ({ name: 'wake', data: { key } })));
      }
      return rows.length;
    });
  }

  /** Hears of new outbox rows at once; the timer is the safety net while the connection is being made again. */
  async #listen(): Promise<void> {
    const client = new pg.Client({ connectionString: this.wiring.database.url });
    const again = () => {
      if (this.#listener !== client || this.#stopped) return;
      this.#listener = undefined;
      this.#timers.push(setTimeout(() => void this.#listen(), 500));
    };
    this.#listener = client;
    client.on('error', again);
    client.on('end', again);
    client.on('notification', () => void this.relayNow());
    try {
      await client.connect();
      await client.query('LISTEN outbox');
      void this.relayNow();
    } catch (error) {
      this.wiring.log.warn({ error: String(error) }, 'cannot listen on PostgreSQL; trying again');
      await client.end().catch(() => undefined);
      again();
    }
  }

  async #guarded(topic: Topic, key: string, handler: TopicHandler): Promise<void> {
    if (this.#stopped) return;
    const startedMs = performance.now();
    try {
      await handler.handle(key);
    } catch (error) {
      errors.inc({ topic });
      // The sweep will come back to it: what failed here is still to be done by what PostgreSQL says.
      this.wiring.log.warn({ topic, key, err: error }, 'a handler failed and will be tried again');
    } finally {
      handled.observe({ topic }, (performance.now() - startedMs) / 1_000);
    }
  }

  readonly #turns = new Map<string, Turns>();
  #turnsOf(loop: string, pauseMs: number): Turns {
    const turns = this.#turns.get(loop) ?? new Turns(loop, pauseMs);
    this.#turns.set(loop, turns);
    return turns;
  }

  /** What waits on the way, for metrics. */
  readonly state: StateSource = { name: 'wakeups', read: db => readWakeups(db, this.#queues) };

  #redis(failFast: boolean): Redis {
    const connection = new Redis(this.wiring.redisUrl, {
      maxRetriesPerRequest: failFast ? 1 : null,
      enableOfflineQueue: !failFast,
      retryStrategy: attempt => Math.min(100 * attempt, 1_000),
    });
    connection.on('error', error => this.#redisTrouble(error));
    this.#connections.push(connection);
    return connection;
  }

  #lastTrouble = 0;
  #redisTrouble(error: Error): void {
    if (this.#stopped || Date.now() - this.#lastTrouble < 5_000) return;
    this.#lastTrouble = Date.now();
    this.wiring.log.warn({ error: error.message }, 'Redis does not answer; work goes on by sweeps until it does');
  }

  /** True when Redis answers a ping. */
  async healthy(): Promise<boolean> {
    const connection = this.#connections[0];
    if (!connection) return false;
    return connection.ping().then(
      () => true,
      () => false,
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#listener?.end().catch(() => undefined);
    await this.#relaying?.catch(() => undefined);
    await Promise.allSettled(this.#workers.map(worker => worker.close(true)));
    await Promise.allSettled([...this.#runners.values()].map(runner => runner.idle()));
    await Promise.allSettled([...this.#queues.values()].map(queue => queue.close()));
    for (const connection of this.#connections) connection.disconnect();
  }
}
