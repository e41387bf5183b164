/** A device that holds only a part of each layer and computes the rest again whenever it is needed: what that costs it. */
import type { ProofWork } from '@iocloud/contracts';
import { dot, firstRow, recipe, squash, type Words } from '../work.js';

/**
 * Runs all passes with only the first `heldBlocks` matrices of each layer kept: of every layer, though memory would hold those
 * of the last two at most, so that it costs the cheat rather less here than it would. Returns the last layer, and for each pass how many
 * matrices it computed.
 */
export function withLittleMemory(
  work: ProofWork,
  keys: readonly Words[],
  heldBlocks: number,
): { rows: Int8Array[]; computed: number[] } {
  const { rowLength: n, blocks, passes } = work;
  let count = 0;
  const held: Int8Array[][][] = keys.map(() => []);
  const made = (pass: number, block: number): Int8Array[] => {
    const kept = held[pass]?.[block];
    if (kept) return kept;
    const key = keys[pass] as Words;
    if (pass === 0) return Array.from({ length: n }, (_, row) => firstRow(key, n, block * n + row));
    const { left, right, constant } = recipe(key, work, block);
    const parents = left.map((parent, t) => [made(pass - 1, parent), made(pass - 1, right[t] as number)] as const);
    count += 1;
    return Array.from({ length: n }, (_row, r) =>
      Int8Array.from({ length: n }, (_column, c) =>
        squash(
          parents.reduce((sum, [a, b]) => sum + dot(a[r] as Int8Array, b[c] as Int8Array), 0),
          constant,
        ),
      ),
    );
  };
  const computed: number[] = [];
  let rows: Int8Array[] = [];
  for (let pass = 0; pass <= passes; pass += 1) {
    count = 0;
    const layer = Array.from({ length: blocks }, (_, block) => made(pass, block));
    held[pass] = layer.slice(0, heldBlocks);
    computed.push(count);
    rows = layer.flat();
  }
  return { rows, computed };
}
