/**
 * The work that a device proves itself by: seeded, memory-hard products of matrices of small whole numbers. Pure.
 *
 * A layer is `blocks` matrices of `n` × `n` numbers between -64 and 63, `n` being `rowLength`. Layer 0 comes from a key by
 * Philox. Of layer p the matrix i is
 *
 *   X[p][i] = squash( Σ over t of X[p-1][left(i,t)] · X[p-1][right(i,t)]ᵀ + constant(i) )
 *
 * with parents drawn from a key that is said only when layer p-1 is committed to: so nothing can be computed ahead, and all
 * of a layer must be held until the next is done. Whoever holds the fraction f of it has to compute what is missing again,
 * from the layers before: 1 + 2(1-f)·(1 + 2(1-f)·(1 + …)) products for each.
 *
 * Numbers have 7 bits, so that every kind of hardware comes to the same bits: sums stay below 2²⁴ while
 * n · products ≤ 4,096, which is exact in floats of 32 bits, as in whole numbers of 32 bits. Numbers of 8 bits or tensor
 * cores with FP16 inputs and FP32 sums are the fastest exact way; floats of 8 bits cannot hold them.
 *
 * A number of layer p depends on `products` pairs of rows of layer p-1 alone: it is checked with n · products
 * multiplications.
 */
import type { ProofWork } from '@iocloud/contracts';

/** SHA-256: comes in, as nothing here may ask the platform. */
export type Hash = (bytes: Uint8Array) => Uint8Array;

/** Looked up once: they are called for every number. */
const { imul, floor } = Math;

/** Sums must be exact in floats of 32 bits (24 bits of significand): products of two 7-bit numbers are at most 2¹². */
export const longestSum = 4_096;

export const memoryBytesOf = ({ rowLength, blocks }: ProofWork): number => 2 * blocks * rowLength ** 2;
export const multiplicationsOf = ({ rowLength, blocks, products }: ProofWork): number =>
  blocks * products * rowLength ** 3;

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const toHex = (bytes: Uint8Array): string => Array.from(bytes, b => b.toString(16).padStart(2, '0')).join('');
export const fromHex = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], byte => Number.parseInt(byte, 16));

/** Whom, for what and when a challenge is for: all of it goes into every key. */
export interface ChallengeContext {
  nodeId: string;
  /** One OpenSSH line. */
  deviceKey: string;
  deviceUuid: string;
  deviceModel: string;
  /** The start of the hour, ISO 8601. */
  hour: string;
  work: ProofWork;
  /** 32 random bytes, hexadecimal; known to the control plane alone until the verdict. */
  seed: string;
}

/** The key of a pass. `rootBefore`: of the layer before, '' for the first. Hexadecimal. */
export function passKey(hash: Hash, context: ChallengeContext, pass: number, rootBefore: string): string {
  const { rowLength, blocks, passes, products } = context.work;
  const text = [
    'iocloud proof 1',
    context.nodeId,
    context.deviceKey,
    context.deviceUuid,
    context.deviceModel,
    context.hour,
    `${rowLength} ${blocks} ${passes} ${products}`,
    context.seed,
    `${pass} ${rootBefore}`,
  ].join('\n');
  return toHex(hash(utf8(text)));
}

export type Words = [number, number, number, number];

/** The first four 32-bit words of a key, little-endian. */
export function wordsOf(key: string): Words {
  const bytes = fromHex(key);
  const view = new DataView(bytes.buffer);
  return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true), view.getUint32(12, true)];
}

/** The upper 32 bits of a product of two 32-bit numbers. */
export function highProduct(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  return (aHigh * bHigh + floor(middle / 65_536) + floor((aLow * bHigh + (middle & 0xffff)) / 65_536)) >>> 0;
}

/** Philox4x32-10: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11. */
export function philox([c0, c1, c2, c3]: Words, [k0, k1]: readonly [number, number]): Words {
  let [a, b, c, d, x, y] = [c0, c1, c2, c3, k0, k1];
  for (let round = 0; round < 10; round += 1) {
    const [high0, low0] = [highProduct(0xd2511f53, a), imul(0xd2511f53, a) >>> 0];
    const [high1, low1] = [highProduct(0xcd9e8d57, c), imul(0xcd9e8d57, c) >>> 0];
    [a, b, c, d] = [(high1 ^ b ^ x) >>> 0, low1, (high0 ^ d ^ y) >>> 0, low0];
    x = (x + 0x9e3779b9) >>> 0;
    y = (y + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

/** A row of layer 0. `row` counts through all matrices. */
export function firstRow([k0, k1, k2, k3]: Words, rowLength: number, row: number): Int8Array {
  const numbers = new Int8Array(rowLength);
  for (let at = 0; at < rowLength; at += 16) {
    const words = philox([at / 16, row, k2, k3], [k0, k1]);
    for (let byte = 0; byte < 16; byte += 1) {
      numbers[at + byte] = (((words[byte >> 2] ?? 0) >>> (8 * (byte & 3))) & 127) - 64;
    }
  }
  return numbers;
}

export interface Recipe {
  left: number[];
  right: number[];
  constant: number;
}

/** What matrix `block` of a layer is made of. */
export function recipe([k0, k1, k2, k3]: Words, { blocks, products }: ProofWork, block: number): Recipe {
  const draws = Array.from({ length: products }, (_, t) => philox([block, t, k2, k3], [k0, k1]));
  return {
    left: draws.map(([word]) => highProduct(word, blocks)),
    right: draws.map(([, word]) => highProduct(word, blocks)),
    constant: draws[0]?.[2] ?? 0,
  };
}

/** From a sum to a number of 7 bits that depends on all bits of the sum. */
export const squash = (sum: number, constant: number): number => (imul((sum + constant) | 0, 0x9e3779b1) >>> 25) - 64;

export function dot(left: Int8Array, right: Int8Array): number {
  let sum = 0;
  for (let at = 0; at < left.length; at += 1) sum += (left[at] as number) * (right[at] as number);
  return sum;
}
