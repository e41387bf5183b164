/**
 * The commitment to a layer: a Merkle tree over its rows with up to four children a node. Pure.
 *
 * A leaf is SHA-256(0, row), an inner node SHA-256(1, children): so no row can pass for a node (RFC 6962, 2.1). The rows of
 * a matrix make a whole subtree, because their number is a power of 4.
 */
import type { Hash } from './work.js';

const arity = 4;
export const digestBytes = 32;

export function leafDigest(hash: Hash, row: Int8Array): Uint8Array {
  const bytes = new Uint8Array(row.length + 1);
  bytes.set(new Uint8Array(row.buffer, row.byteOffset, row.length), 1);
  return hash(bytes);
}

function nodeDigest(hash: Hash, children: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(1 + digestBytes * children.length);
  bytes[0] = 1;
  children.forEach((child, at) => {
    bytes.set(child, 1 + digestBytes * at);
  });
  return hash(bytes);
}

/** From the leaves up; the last level is the root alone. */
export function tree(hash: Hash, leaves: readonly Uint8Array[]): Uint8Array[][] {
  const levels = [[...leaves]];
  for (let level = levels[0] ?? []; level.length > 1; level = levels.at(-1) ?? []) {
    const above: Uint8Array[] = [];
    for (let at = 0; at < level.length; at += arity) above.push(nodeDigest(hash, level.slice(at, at + arity)));
    levels.push(above);
  }
  return levels;
}

/** The siblings on the way from a leaf to the root, one after the other. */
export function pathOf(levels: readonly Uint8Array[][], leaf: number): Uint8Array {
  const siblings = levels.slice(0, -1).flatMap((level, height) => {
    const at = Math.floor(leaf / arity ** height);
    const first = at - (at % arity);
    return level.slice(first, first + arity).filter((_, index) => first + index !== at);
  });
  const path = new Uint8Array(digestBytes * siblings.length);
  siblings.forEach((sibling, index) => {
    path.set(sibling, digestBytes * index);
  });
  return path;
}

/** The root that leaf and path lead to; null where the path is too short or too long for so many leaves. */
export function rootOf(
  hash: Hash,
  { leaf, index, leaves, path }: { leaf: Uint8Array; index: number; leaves: number; path: Uint8Array },
): Uint8Array | null {
  let [digest, at, width, taken] = [leaf, index, leaves, 0];
  while (width > 1) {
    const place = at % arity;
    const size = Math.min(arity, width - (at - place));
    const bytes = new Uint8Array(1 + digestBytes * size);
    bytes[0] = 1;
    for (let child = 0; child < size; child += 1) {
      if (child === place) bytes.set(digest, 1 + digestBytes * child);
      else {
        if (taken + digestBytes > path.length) return null;
        bytes.set(path.subarray(taken, taken + digestBytes), 1 + digestBytes * child);
        taken += digestBytes;
      }
    }
    digest = hash(bytes);
    at = Math.floor(at / arity);
    width = Math.ceil(width / arity);
  }
  return taken === path.length ? digest : null;
}
