/** Work that is done again and again, with a pause between two turns, until it is stopped. */
export class Recurring {
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> | undefined;
  #stopped = false;

  /** A turn that is long asks `isStopped` on its way; one that fails is told to `failed`, and the next comes all the same. */
  constructor(
    readonly pauseMs: number,
    readonly turn: (isStopped: () => boolean) => Promise<void>,
    readonly failed: (error: unknown) => void,
  ) {}

  start(): void {
    this.#timer = setTimeout(() => {
      this.#turn = this.turn(() => this.#stopped)
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
