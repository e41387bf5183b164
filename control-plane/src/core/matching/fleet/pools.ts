/**
 * The device pools of all nodes, and what of each device is free, in units (10,000 a device). Every node has a pool
 * without devices besides, for workers that need none.
 */
import { grown, roomFor, Slots } from './columns.js';
import { unitsPerDevice } from './types.js';

/** The model of the pool without devices. */
export const noModel = 0;

export class Pools {
  node = new Int32Array(0);
  model = new Int32Array(0);
  /** Next pool of the same node, or -1. */
  next = new Int32Array(0);
  firstDevice = new Int32Array(0);
  devices = new Uint8Array(0);
  /** Devices that are wholly free. */
  whole = new Uint8Array(0);
  /** Most units that are free of a device that is not wholly free. */
  partial = new Uint16Array(0);
  /** Free units of all its devices. */
  units = new Int32Array(0);
  /** Where the index has it, or -1; see `Stocks`. */
  stock = new Int32Array(0);

  /** By device: its index on the node, and its free units. */
  deviceIndex = new Int32Array(0);
  deviceUnits = new Uint16Array(0);

  readonly #slots = new Slots();
  #deviceEnd = 0;
  readonly #freeRanges = new Map<number, number[]>();

  get end(): number {
    return this.#slots.end;
  }

  create(node: number, model: number, indices: number[]): number {
    const pool = this.#slots.take();
    if (pool >= this.node.length) this.#grow(roomFor(pool + 1));
    const first = this.#range(indices.length);
    this.node[pool] = node;
    this.model[pool] = model;
    this.next[pool] = -1;
    this.firstDevice[pool] = first;
    this.devices[pool] = indices.length;
    this.stock[pool] = -1;
    for (const [offset, index] of indices.entries()) {
      this.deviceIndex[first + offset] = index;
      this.deviceUnits[first + offset] = unitsPerDevice;
    }
    this.recount(pool);
    return pool;
  }

  free(pool: number): void {
    const size = this.devices[pool] as number;
    const ranges = this.#freeRanges.get(size) ?? [];
    if (size > 0) ranges.push(this.firstDevice[pool] as number);
    this.#freeRanges.set(size, ranges);
    this.node[pool] = -1;
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
    const first = this.firstDevice[pool] as number;
    const end = first + (this.devices[pool] as number);
    for (let device = first; device < end; device++) {
      const free = this.deviceUnits[device] as number;
      units += free;
      if (free === unitsPerDevice) whole += 1;
      else if (free > partial) partial = free;
    }
    this.whole[pool] = whole;
    this.partial[pool] = partial;
    this.units[pool] = units;
  }

  /** The device with this index, or -1. */
  find(pool: number, index: number): number {
    const first = this.firstDevice[pool] as number;
    const end = first + (this.devices[pool] as number);
    for (let device = first; device < end; device++) if (this.deviceIndex[device] === index) return device;
    return -1;
  }

  /** The devices for one worker, which must have room: whole ones from the first; a share where it leaves least over. */
  choose(pool: number, whole: number, units: number): number[] {
    const first = this.firstDevice[pool] as number;
    const end = first + (this.devices[pool] as number);
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
    this.node = grown(this.node, length);
    this.model = grown(this.model, length);
    this.next = grown(this.next, length);
    this.firstDevice = grown(this.firstDevice, length);
    this.devices = grown(this.devices, length);
    this.whole = grown(this.whole, length);
    this.partial = grown(this.partial, length);
    this.units = grown(this.units, length);
    this.stock = grown(this.stock, length);
  }
}
