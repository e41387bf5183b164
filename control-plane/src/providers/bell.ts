/** Ends a pause early. What rings while nobody waits ends the next pause. */
export class Bell {
  #isRung = false;
  #end: (() => void) | undefined;

  /** `settleMs`: what rings within this time of the first ring is heard with it. */
  constructor(readonly settleMs: number) {}

  ring(): void {
    this.#isRung = true;
    this.#end?.();
  }

  async wait(ms: number): Promise<void> {
    await this.#rungWithin(ms);
    if (this.#isRung) await new Promise(resolve => setTimeout(resolve, this.settleMs));
    this.#isRung = false;
  }

  #rungWithin(ms: number): Promise<void> {
    if (this.#isRung) return Promise.resolve();
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
