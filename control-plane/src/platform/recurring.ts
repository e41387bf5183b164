/** Work that is done again and again, with a pause between two turns, until it is stopped. */
import { counter, Durations, gauge, workBuckets } from './metrics.js';

const lastSuccess = gauge(
  'iocloud_loop_last_success_timestamp_seconds',
  'When a turn last came to its end without an error',
  ['loop'],
);
const durations = new Durations('iocloud_loop_duration_seconds', 'Duration of turns', ['loop'], workBuckets);
const errors = counter('iocloud_loop_errors_total', 'Turns that failed', ['loop']);
const interval = gauge('iocloud_loop_interval_seconds', 'Pause between two turns', ['loop']);

/** What loops have been up to, newest state of each by its name; of this process. */
const states = new Map<string, LoopState>();

export interface LoopState {
  pauseSeconds: number;
  /** Null: none has come to its end yet. */
  lastSuccessAt: string | null;
  lastErrorAt: string | null;
  turns: number;
  errors: number;
}

export const loopStates = (): Record<string, LoopState> => Object.fromEntries(states);

/** Counts the turns of a loop that keeps its own time. */
export class Turns {
  readonly #state: LoopState;

  constructor(
    readonly loop: string,
    pauseMs: number,
  ) {
    this.#state = { pauseSeconds: pauseMs / 1_000, lastSuccessAt: null, lastErrorAt: null, turns: 0, errors: 0 };
    states.set(loop, this.#state);
    interval.set({ loop }, pauseMs / 1_000);
    errors.inc({ loop }, 0);
  }

  async count<T>(turn: () => Promise<T>): Promise<T> {
    const { loop } = this;
    const startedMs = performance.now();
    this.#state.turns += 1;
    try {
      const result = await turn();
      this.#state.lastSuccessAt = new Date().toISOString();
      lastSuccess.set({ loop }, Date.now() / 1_000);
      return result;
    } catch (error) {
      this.#state.errors += 1;
      this.#state.lastErrorAt = new Date().toISOString();
      errors.inc({ loop });
      throw error;
    } finally {
      durations.observe({ loop }, (performance.now() - startedMs) / 1_000);
    }
  }
}

export class Recurring {
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> | undefined;
  #turns: Turns | undefined;
  #stopped = false;

  /** A turn that is long asks `isStopped` on its way; one that fails is told to `failed`, and the next comes all the same. */
  constructor(
    /** By which metrics and support bundles call it. */
    readonly name: string,
    readonly pauseMs: number,
    readonly turn: (isStopped: () => boolean) => Promise<void>,
    readonly failed: (error: unknown) => void,
  ) {}

  start(): void {
    // Not before it is started: what this process does not do is not late.
    this.#turns ??= new Turns(this.name, this.pauseMs);
    const turns = this.#turns;
    this.#timer = setTimeout(() => {
      this.#turn = turns
        .count(() => this.turn(() => this.#stopped))
        .catch(this.failed)
        .finally(() => {
          if (!this.#stopped) this.start();
        });
    }, this.pauseMs);
  }

  /** Resolves when nothing of it goes on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#turn;
  }
}
