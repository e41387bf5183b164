/**
 * The device pools of all nodes, and what of each device is free, in units (10,000 a device). Every node has a pool
 * without devices besides, for workers that need none.
 */
import { grown, roomFor, Slots } from './columns.js';
import { unitsPerDevice } from './types.js';

/** The model of the pool without devices. */
export const noModel = 0;

// One record of 32 bytes for each pool: a search looks at pools that lie anywhere in memory.
const recordSize = 8;
const nodeAt = 0;
const modelAt = 1;
const nextAt = 2;
const firstDeviceAt = 3;
const devicesAt = 4;
const wholeAt = 5;
const partialAt = 6;
const unitsAt = 7;

export class Pools {
  #records = new Int32Array(0);
  /** Where the index has it, or -1; see `Stocks`. */
  stock = new Int32Array(0);

  /** By device: its index on the node, and its free units. */
  deviceIndex = new Int32Array(0);
  deviceUnits = new Uint16Array(0);

  readonly #slots = new Slots();
  #deviceEnd = 0;
  readonly #freeRanges = new Map<number, number[]>();

  node(pool: number): number {
    return this.#records[pool * recordSize + nodeAt] as number;
  }

  model(pool: number): number {
    return this.#records[pool * recordSize + modelAt] as number;
  }

  /** Next pool of the same node, or -1. */
  next(pool: number): number {
    return this.#records[pool * recordSize + nextAt] as number;
  }

  setNext(pool: number, next: number): void {
    this.#records[pool * recordSize + nextAt] = next;
  }

  firstDevice(pool: number): number {
    return this.#records[pool * recordSize + firstDeviceAt] as number;
  }

  devices(pool: number): number {
    return this.#records[pool * recordSize + devicesAt] as number;
  }

  /** Devices that are wholly free. */
  whole(pool: number): number {
    return this.#records[pool * recordSize + wholeAt] as number;
  }

  /** Most units that are free of a device that is not wholly free. */
  partial(pool: number): number {
    return this.#records[pool * recordSize + partialAt] as number;
  }

  /** Free units of all its devices. */
  units(pool: number): number {
    return this.#records[pool * recordSize + unitsAt] as number;
  }

  create(node: number, model: number, indices: number[]): number {
    const pool = this.#slots.take();
    if (pool >= this.stock.length) this.#grow(roomFor(pool + 1));
    const first = this.#range(indices.length);
    const record = pool * recordSize;
    this.#records[record + nodeAt] = node;
    this.#records[record + modelAt] = model;
    this.#records[record + nextAt] = -1;
    this.#records[record + firstDeviceAt] = first;
    this.#records[record + devicesAt] = indices.length;
    this.stock[pool] = -1;
    for (const [offset, index] of indices.entries()) {
      this.deviceIndex[first + offset] = index;
      this.deviceUnits[first + offset] = unitsPerDevice;
    }
    this.recount(pool);
    return pool;
  }

  free(pool: number): void {
    const size = this.devices(pool);
    const ranges = this.#freeRanges.get(size) ?? [];
    if (size > 0) ranges.push(this.firstDevice(pool));
    this.#freeRanges.set(size, ranges);
    this.#records[pool * recordSize + nodeAt] = -1;
    this.#slots.giveBack(pool);
  }

  /** Takes (`sign` 1) or gives back (−1) units of the device; `recount` must follow. */
  use(sign: 1 | -1, device: number, units: number): void {
    const left = (this.deviceUnits[device] as number) - sign * units;
    if (left < 0 || left > unitsPerDevice) throw new Error(`Device ${device} would have ${left} units free`);
    this.deviceUnits[device] = left;
  }

  /** After a device's units have changed. */
  recount(pool: number): void {
    let whole = 0;
    let partial = 0;
    let units = 0;
    const first = this.firstDevice(pool);
    const end = first + this.devices(pool);
    for (let device = first; device < end; device++) {
      const free = this.deviceUnits[device] as number;
      units += free;
      if (free === unitsPerDevice) whole += 1;
      else if (free > partial) partial = free;
    }
    const record = pool * recordSize;
    this.#records[record + wholeAt] = whole;
    this.#records[record + partialAt] = partial;
    this.#records[record + unitsAt] = units;
  }

  /** The device with this index, or -1. */
  find(pool: number, index: number): number {
    const first = this.firstDevice(pool);
    const end = first + this.devices(pool);
    for (let device = first; device < end; device++) if (this.deviceIndex[device] === index) return device;
    return -1;
  }

  /** The devices for one worker, which must have room: whole ones from the first; a share where it leaves least over. */
  choose(pool: number, whole: number, units: number): number[] {
    const first = this.firstDevice(pool);
    const end = first + this.devices(pool);
    const chosen: number[] = [];
    if (whole > 0) {
      for (let device = first; device < end && chosen.length < whole; device++) {
        if (this.deviceUnits[device] === unitsPerDevice) chosen.push(device);
      }
      return chosen;
    }
    let best = -1;
    for (let device = first; device < end; device++) {
      const free = this.deviceUnits[device] as number;
      if (free >= units && (best === -1 || free < (this.deviceUnits[best] as number))) best = device;
    }
    if (best !== -1) chosen.push(best);
    return chosen;
  }

  #range(size: number): number {
    const reused = this.#freeRanges.get(size)?.pop();
    if (reused !== undefined) return reused;
    const first = this.#deviceEnd;
    this.#deviceEnd += size;
    if (this.#deviceEnd > this.deviceUnits.length) {
      const length = roomFor(this.#deviceEnd);
      this.deviceIndex = grown(this.deviceIndex, length);
      this.deviceUnits = grown(this.deviceUnits, length);
    }
    return first;
  }

  #grow(length: number): void {
    this.#records = grown(this.#records, length * recordSize);
    this.stock = grown(this.stock, length);
  }
}
