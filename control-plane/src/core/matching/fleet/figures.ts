/**
 * What a decision weighs of each node, in one record: 64 bytes, a line of the processor's cache. A search looks at nodes
 * that lie anywhere in memory, and what it waits for is the memory.
 */
import { grown } from './columns.js';

/** Numbers of a record. */
export const recordSize = 8;
export const gpuPriceAt = 0;
export const cpuPriceAt = 1;
export const reputationAt = 2;
export const stakeAt = 3;
export const loadAt = 4;
/** CPU units that are free; -1 where no work may be placed. */
export const offeredCpuAt = 5;
export const freeMemoryAt = 6;
/** The last number's place is taken by two words of 32 bits: `words[2 × number]` and the next. */
const wordsAt = 7;

/** By slot. */
export class Figures {
  numbers = new Float64Array(0);
  words = new Int32Array(0);

  grow(length: number): void {
    this.numbers = grown(this.numbers, length * recordSize);
    this.words = new Int32Array(this.numbers.buffer);
  }

  get(slot: number, field: number): number {
    return this.numbers[slot * recordSize + field] as number;
  }

  set(slot: number, field: number, value: number): void {
    this.numbers[slot * recordSize + field] = value;
  }

  traits(slot: number): number {
    return this.words[2 * (slot * recordSize + wordsAt)] as number;
  }

  rays(slot: number): number {
    return this.words[2 * (slot * recordSize + wordsAt) + 1] as number;
  }

  setWords(slot: number, traits: number, rays: number): void {
    this.words[2 * (slot * recordSize + wordsAt)] = traits;
    this.words[2 * (slot * recordSize + wordsAt) + 1] = rays;
  }
}
