/**
 * Keys that want work: each waits at most once, is worked on by one worker at a time, and comes again later the more
 * often it has failed. Several keys are worked on side by side.
 */
export interface QueueObserver {
  added(): void;
  depth(depth: number): void;
  waited(seconds: number): void;
  worked(seconds: number): void;
  retried(): void;
}

export interface WorkQueueOptions {
  concurrency: number;
  work: (key: string) => Promise<void>;
  /** A failure that `work` threw; the key comes again after `pauseMs`. */
  onFailure: (key: string, error: unknown, pauseMs: number) => void;
  observer?: QueueObserver;
  firstPauseMs?: number;
  longestPauseMs?: number;
}

export class WorkQueue {
  private readonly waiting = new Map<string, number>();
  private readonly active = new Set<string>();
  private readonly again = new Set<string>();
  private readonly failures = new Map<string, number>();
  private readonly timers = new Map<string, { timer: NodeJS.Timeout; at: number }>();
  private running = false;
  private idle: (() => void)[] = [];

  constructor(private readonly options: WorkQueueOptions) {}

  start(): void {
    this.running = true;
    this.pump();
  }

  /** Takes up nothing more and waits for what is under way; what waits is kept. */
  async stop(): Promise<void> {
    this.running = false;
    if (this.active.size > 0) await new Promise<void>(resolve => this.idle.push(resolve));
  }

  dispose(): void {
    for (const { timer } of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  get depth(): number {
    return this.waiting.size;
  }

  add(key: string): void {
    this.cancelTimer(key);
    if (this.active.has(key)) {
      this.again.add(key);
      return;
    }
    if (this.waiting.has(key)) return;
    this.waiting.set(key, performance.now());
    this.options.observer?.added();
    this.options.observer?.depth(this.waiting.size);
    this.pump();
  }

  /** The earlier of two times wins. */
  addAfter(key: string, delayMs: number): void {
    const at = Date.now() + delayMs;
    const existing = this.timers.get(key);
    if (existing && existing.at <= at) return;
    this.cancelTimer(key);
    const timer = setTimeout(() => {
      this.timers.delete(key);
      this.add(key);
    }, delayMs);
    timer.unref();
    this.timers.set(key, { timer, at });
  }

  private cancelTimer(key: string): void {
    const existing = this.timers.get(key);
    if (existing) clearTimeout(existing.timer);
    this.timers.delete(key);
  }

  private pump(): void {
    while (this.running && this.active.size < this.options.concurrency) {
      const next = this.waiting.entries().next().value;
      if (!next) return;
      const [key, since] = next;
      this.waiting.delete(key);
      this.active.add(key);
      this.options.observer?.depth(this.waiting.size);
      this.options.observer?.waited((performance.now() - since) / 1000);
      void this.workOn(key);
    }
  }

  private async workOn(key: string): Promise<void> {
    const started = performance.now();
    try {
      await this.options.work(key);
      this.failures.delete(key);
    } catch (error) {
      const failures = (this.failures.get(key) ?? 0) + 1;
      this.failures.set(key, failures);
      const { firstPauseMs = 20, longestPauseMs = 60_000 } = this.options;
      const pauseMs = Math.min(firstPauseMs * 2 ** (failures - 1), longestPauseMs);
      this.options.observer?.retried();
      this.options.onFailure(key, error, pauseMs);
      // What has changed meanwhile may be what it takes: then at once.
      if (!this.again.has(key)) this.addAfter(key, pauseMs);
    }
    this.options.observer?.worked((performance.now() - started) / 1000);
    this.active.delete(key);
    if (this.again.delete(key)) this.add(key);
    if (this.active.size === 0 && !this.running) for (const resolve of this.idle.splice(0)) resolve();
    this.pump();
  }
}
