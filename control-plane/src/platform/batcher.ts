interface Call<In, Out> {
  item: In;
  resolve(result: Out): void;
  reject(error: unknown): void;
}

/**
 * Joins the calls that come while an earlier batch is on its way into one batch: the busier the process, the fewer its
 * round trips and commits. A call that finds nothing under way goes at once, alone; there is no timer. A call never joins
 * a batch that has begun, so what it reads is never older than itself. With `spacingMs` a batch begins no sooner than so
 * long after the one before: a statement of its own costs more than many rows of a shared one.
 */
export class Batcher<In, Out> {
  readonly #waiting: Call<In, Out>[] = [];
  #busy = false;

  /**
   * `work` gives one result for each item, in their order, or throws for all of them. Where `separable` says of such a
   * failure that it has changed nothing and that one item may be its cause, each is tried alone.
   */
  constructor(
    readonly work: (items: In[]) => Promise<Out[]>,
    readonly maxSize: number,
    readonly separable: (error: unknown) => boolean = () => false,
    readonly spacingMs = 0,
  ) {}

  add(item: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (!this.#busy) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const begunMs = performance.now();
      await this.#settle(this.#waiting.splice(0, this.maxSize));
      const isFull = this.#waiting.length >= this.maxSize;
      const restMs = isFull ? 0 : this.spacingMs - (performance.now() - begunMs);
      if (restMs > 0) await new Promise(resolve => setTimeout(resolve, restMs));
    }
    this.#busy = false;
  }

  async #settle(batch: Call<In, Out>[]): Promise<void> {
    try {
      const results = await this.work(batch.map(({ item }) => item));
      if (results.length !== batch.length) throw new Error(`${results.length} results for ${batch.length} items`);
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Out);
    } catch (error) {
      if (batch.length > 1 && this.separable(error)) for (const entry of batch) await this.#settle([entry]);
      else for (const { reject } of batch) reject(error);
    }
  }
}
