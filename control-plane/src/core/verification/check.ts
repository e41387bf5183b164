/** Spot checks of a committed layer: numbers drawn after the commitment, computed again from the rows that are shown. Pure. */
import type { ProofWork } from '@iocloud/contracts';
import { digestBytes, leafDigest, rootOf } from './merkle.js';
import { dot, firstRow, type Hash, recipe, squash, toHex, type Words } from './work.js';

/** A number of a layer: in this row, counted through all matrices, and this column. */
export interface Spot {
  row: number;
  column: number;
}

/** `layer` 0: the one just committed to; 1: the one before. */
export type RowAt = [layer: 0 | 1, row: number];

export interface Opening {
  row: Int8Array;
  path: Uint8Array;
}

/**
 * `uniform`: integers from 0 to below its argument, which nobody could know when the layer was committed to. One that
 * shows a fraction w of wrong numbers passes with (1 - w)^count.
 */
export function drawSpots(work: ProofWork, count: number, uniform: (below: number) => number): Spot[] {
  return Array.from({ length: count }, () => ({
    row: uniform(work.blocks * work.rowLength),
    column: uniform(work.rowLength),
  }));
}

/** The rows that show whether the spots of a pass are right, in the order in which `checkPass` takes them. */
export function rowsToOpen(work: ProofWork, pass: number, key: Words, spots: readonly Spot[]): RowAt[] {
  return spots.flatMap(({ row, column }): RowAt[] => {
    if (pass === 0) return [[0, row]];
    const { rowLength } = work;
    const { left, right } = recipe(key, work, Math.floor(row / rowLength));
    const within = row % rowLength;
    return [
      [0, row],
      ...left.map((block): RowAt => [1, block * rowLength + within]),
      ...right.map((block): RowAt => [1, block * rowLength + column]),
    ];
  });
}

export type Fault = 'openings-missing' | 'not-committed' | 'wrong-numbers';

/** `roots`: of this layer and of the one before, hexadecimal. Null: all is as it should be. */
export function checkPass(
  hash: Hash,
  work: ProofWork,
  pass: number,
  key: Words,
  roots: readonly [string, string],
  spots: readonly Spot[],
  openings: readonly Opening[],
): Fault | null {
  const wanted = rowsToOpen(work, pass, key, spots);
  if (openings.length !== wanted.length) return 'openings-missing';
  const leaves = work.blocks * work.rowLength;
  for (const [at, [layer, index]] of wanted.entries()) {
    const { row, path } = openings[at] as Opening;
    if (row.length !== work.rowLength || path.length % digestBytes !== 0) return 'openings-missing';
    const root = rootOf(hash, { leaf: leafDigest(hash, row), index, leaves, path });
    if (root === null || toHex(root) !== roots[layer]) return 'not-committed';
  }
  return spots.every((spot, at) => isRight(work, pass, key, spot, openings, at)) ? null : 'wrong-numbers';
}

function isRight(
  work: ProofWork,
  pass: number,
  key: Words,
  { row, column }: Spot,
  openings: readonly Opening[],
  at: number,
): boolean {
  if (pass === 0) {
    const shown = openings[at]?.row;
    return firstRow(key, work.rowLength, row).every((number, index) => number === shown?.[index]);
  }
  const [own, ...parents] = openings.slice(at * (1 + 2 * work.products), (at + 1) * (1 + 2 * work.products));
  const { constant } = recipe(key, work, Math.floor(row / work.rowLength));
  let sum = 0;
  for (let t = 0; t < work.products; t += 1) {
    sum += dot((parents[t] as Opening).row, (parents[work.products + t] as Opening).row);
  }
  return own?.row[column] === squash(sum, constant);
}
