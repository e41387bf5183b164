/** Texts as small integers, numbered from 0 as they come. */
export class Names {
  readonly texts: string[] = [];
  readonly #ids = new Map<string, number>();

  /** Of a text that is new, the next number. */
  id(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    const id = this.texts.length;
    this.texts.push(text);
    this.#ids.set(text, id);
    return id;
  }

  /** -1 for a text that never came. */
  find(text: string): number {
    return this.#ids.get(text) ?? -1;
  }

  get size(): number {
    return this.texts.length;
  }
}
