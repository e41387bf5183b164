/** Finding what must go so that something fits, by trying it on the real thing and putting everything back. */

export interface WhatIf<Item, Answer> {
  without(item: Item): void;
  /** Undoes `without`; called in the opposite order, or after others have been put back. */
  back(item: Item): void;
  /** Null: it does not fit. More taken away never makes it fit less. */
  fits(): Answer | null;
}

/**
 * The shortest beginning of `items` without which it fits, and the answer then; null when it does not fit without any.
 * Doubles, then halves: about twice the logarithm of the answer's length in questions. Leaves everything as it was.
 */
export function shortestPrefix<Item, Answer>(
  items: { readonly length: number; at(index: number): Item | undefined },
  world: WhatIf<Item, Answer>,
): { length: number; answer: Answer } | null {
  let removed = 0;
  const removeTo = (length: number) => {
    while (removed < length) world.without(items.at(removed++) as Item);
    while (removed > length) world.back(items.at(--removed) as Item);
  };
  const ask = (length: number) => {
    removeTo(length);
    return world.fits();
  };
  let tooShort = 0;
  let found: { length: number; answer: Answer } | null = null;
  for (let length = 1; found === null && tooShort < items.length; length *= 2) {
    const tried = Math.min(length, items.length);
    const answer = ask(tried);
    if (answer === null) tooShort = tried;
    else found = { length: tried, answer };
  }
  while (found !== null && found.length - tooShort > 1) {
    const middle = (found.length + tooShort) >> 1;
    const answer = ask(middle);
    if (answer === null) tooShort = middle;
    else found = { length: middle, answer };
  }
  removeTo(0);
  return found;
}

/**
 * Of `items`, without all of which it fits, those that are needed: none of them can be put back. Those at the end are
 * put back first. Leaves everything as it was.
 */
export function needed<Item, Answer>(
  items: readonly Item[],
  world: WhatIf<Item, Answer>,
): { items: Item[]; answer: Answer } | null {
  for (const item of items) world.without(item);
  let answer = world.fits();
  const kept: Item[] = [];
  for (const item of answer === null ? [] : [...items].reverse()) {
    world.back(item);
    const still = world.fits();
    if (still !== null) answer = still;
    else {
      world.without(item);
      kept.unshift(item);
    }
  }
  for (const item of answer === null ? items : kept) world.back(item);
  return answer === null ? null : { items: kept, answer };
}
