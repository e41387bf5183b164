/** What goes together in one transaction. */

export interface Payable {
  asset: string;
  amount: bigint;
  alone: boolean;
}

/**
 * So many transfers, each with a new token account for its receiver, fit the 1,232 bytes of a transaction beside the nonce
 * and the price of its computation (build.test.ts holds the code to it).
 */
export const mostTransfers = 6;
export const mostSweeps = 4;

/**
 * In the order in which they come, one asset to a batch. `funds`: what can be spent of each; who finds too little waits and
 * holds up all behind it of that asset, so that small ones do not starve a large one.
 */
export function batchesOf<T extends Payable>(
  payables: readonly T[],
  funds: ReadonlyMap<string, bigint>,
  size = mostTransfers,
): { batches: T[][]; waiting: T[] } {
  const left = new Map(funds);
  const short = new Set<string>();
  const open = new Map<string, T[]>();
  const batches: T[][] = [];
  const waiting: T[] = [];
  for (const payable of payables) {
    const { asset, amount, alone } = payable;
    const funded = left.get(asset) ?? 0n;
    if (short.has(asset) || funded < amount) {
      short.add(asset);
      waiting.push(payable);
      continue;
    }
    left.set(asset, funded - amount);
    const batch = open.get(asset);
    if (alone) batches.push([payable]);
    else if (batch && batch.length < size) batch.push(payable);
    else {
      const begun = [payable];
      open.set(asset, begun);
      batches.push(begun);
    }
  }
  return { batches, waiting };
}
