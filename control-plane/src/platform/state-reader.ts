/**
 * Metrics that are read from the database: by every replica by itself, when it is scraped, and at most each few seconds. A
 * part that cannot be read keeps its values, and says so by its time.
 */
import type { Database, Queryable } from './database.js';
import type { Logger } from './log.js';
import { counter, Durations, gauge, workBuckets } from './metrics.js';

/** Reads what one domain has, and sets its gauges. */
export interface StateSource {
  name: string;
  read(db: Queryable): Promise<void>;
}

const durations = new Durations(
  'iocloud_state_refresh_duration_seconds',
  'One reading of all that comes from the database',
  [],
  workBuckets,
);
const times = gauge('iocloud_state_refresh_timestamp_seconds', 'When it was last read', ['source']);
const errors = counter('iocloud_state_refresh_errors_total', 'Readings that failed', ['source']);

const freshMs = 10_000;
/** A scrape waits no longer; what is read meanwhile is shown by the next. Prometheus gives up after 10 s by default. */
const longestWaitMs = 5_000;

export class StateReader {
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(
    readonly database: Database,
    readonly sources: readonly StateSource[],
    readonly log: Logger,
  ) {}

  /** Resolves when the values are no older than some seconds, or when waiting longer would be worse than old ones. */
  async refresh(): Promise<void> {
    if (performance.now() - this.#readAtMs > freshMs) this.#reading ??= this.#read();
    if (!this.#reading) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>(resolve => {
      timer = setTimeout(resolve, longestWaitMs);
    });
    await Promise.race([this.#reading, late]);
    clearTimeout(timer);
  }

  /** Resolves when nothing is read any more. */
  async stop(): Promise<void> {
    await this.#reading;
  }

  async #read(): Promise<void> {
    const startedMs = performance.now();
    // One after the other: a scrape takes no more than one connection from the work that is measured.
    for (const source of this.sources) {
      try {
        await source.read(this.database);
        times.set({ source: source.name }, Date.now() / 1_000);
      } catch (error) {
        errors.inc({ source: source.name });
        this.log.warn({ source: source.name, err: error }, 'state could not be read for metrics; again soon');
      }
    }
    this.#readAtMs = performance.now();
    durations.observe({}, (this.#readAtMs - startedMs) / 1_000);
    this.#reading = undefined;
  }
}
