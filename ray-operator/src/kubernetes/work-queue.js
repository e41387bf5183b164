export class WorkQueue {
  options;
  waiting = new Map();
  active = new Set();
  again = new Set();
  failures = new Map();
  timers = new Map();
  running = false;
  idle = [];
  constructor(options) {
    this.options = options;
  }
  start() {
    this.running = true;
    this.pump();
  }
  /** Takes up nothing more and waits for what is under way; what waits is kept. */
  async stop() {
    this.running = false;
    if (this.active.size > 0) await new Promise(resolve => this.idle.push(resolve));
  }
  dispose() {
    for (const { timer } of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }
  get depth() {
    return this.waiting.size;
  }
  add(key) {
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
  addAfter(key, delayMs) {
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
  cancelTimer(key) {
    const existing = this.timers.get(key);
    if (existing) clearTimeout(existing.timer);
    this.timers.delete(key);
  }
  pump() {
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
  async workOn(key) {
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
//# sourceMappingURL=work-queue.js.map
