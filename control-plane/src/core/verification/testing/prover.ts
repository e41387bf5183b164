/** The work done plainly, for tests and their attackers: what every program must come to, to the bit. */
import type { ProofWork } from '@iocloud/contracts';
import type { Opening, RowAt } from '../check.js';
import { leafDigest, pathOf, tree } from '../merkle.js';
import { dot, firstRow, type Hash, recipe, squash, toHex, type Words } from '../work.js';

export interface Layer {
  rows: Int8Array[];
  levels: Uint8Array[][];
}

export const rootHex = (layer: Layer): string => toHex(layer.levels.at(-1)?.[0] ?? new Uint8Array());

export const committed = (hash: Hash, rows: Int8Array[]): Layer => ({
  rows,
  levels: tree(
    hash,
    rows.map(row => leafDigest(hash, row)),
  ),
});

export function firstLayer(hash: Hash, work: ProofWork, key: Words): Layer {
  const count = work.blocks * work.rowLength;
  return committed(
    hash,
    Array.from({ length: count }, (_, row) => firstRow(key, work.rowLength, row)),
  );
}

/** `product`: how a cheat multiplies. */
export function nextRows(work: ProofWork, key: Words, before: readonly Int8Array[], product = dot): Int8Array[] {
  const { rowLength: n, blocks } = work;
  const at = (block: number, row: number) => before[block * n + row] as Int8Array;
  return Array.from({ length: blocks }, (_, block) => {
    const { left, right, constant } = recipe(key, work, block);
    return Array.from({ length: n }, (_row, r) => {
      const row = new Int8Array(n);
      for (let c = 0; c < n; c += 1) {
        let sum = 0;
        for (const [t, parent] of left.entries()) sum += product(at(parent, r), at(right[t] as number, c));
        row[c] = squash(sum, constant);
      }
      return row;
    });
  }).flat();
}

export const open = (layers: readonly [Layer, Layer | undefined], rows: readonly RowAt[]): Opening[] =>
  rows.map(([which, index]) => {
    const layer = layers[which];
    if (!layer) throw new Error('there is no layer before the first');
    return { row: layer.rows[index] as Int8Array, path: pathOf(layer.levels, index) };
  });
