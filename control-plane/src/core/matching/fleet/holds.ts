/** Who holds what. A device is held in parts of 1/10,000 that add up to one at most: that is what `take` refuses to break. */
import type { Inventory } from './inventory.js';
import { cpuUnitsOf } from './inventory.js';
import type { Stocks } from './stocks.js';
import { type FleetPlacement, type PlacedWorker, unitsPerDevice } from './types.js';

/** Of one node: slot, CPU units, bytes, number of devices, then index and units of each. Flat, for there are many. */
type Piece = number[];

export class Holds {
  readonly #inventory: Inventory;
  readonly #stocks: Stocks;
  readonly #pieces = new Map<string, Piece[]>();

  constructor(inventory: Inventory, stocks: Stocks) {
    this.#inventory = inventory;
    this.#stocks = stocks;
  }

  take(holder: string, placement: FleetPlacement, mode: 'all' | 'free'): void {
    const taken: Piece[] = [];
    for (const worker of placement.workers) {
      const piece = mode === 'all' ? this.#whole(worker) : this.#free(worker);
      if (typeof piece === 'string') {
        for (const one of taken.reverse()) this.#apply(-1, one);
        this.#tell(taken);
        throw new Error(`${holder} cannot have ${worker.group}/${worker.ordinal} on ${worker.nodeId}: ${piece}`);
      }
      if (piece === null) continue;
      this.#apply(1, piece);
      taken.push(piece);
    }
    this.#tell(taken);
    const held = this.#pieces.get(holder);
    if (held === undefined) this.#pieces.set(holder, taken);
    else for (const piece of taken) held.push(piece);
  }

  release(holder: string): void {
    const pieces = this.#pieces.get(holder);
    if (pieces === undefined) return;
    this.#pieces.delete(holder);
    for (const piece of pieces) this.#apply(-1, piece);
    this.#tell(pieces);
  }

  /** After a node's devices have become others, all of them free: marks those that are held, where they still exist. */
  mark(slot: number): void {
    for (const pieces of this.#pieces.values()) {
      for (const piece of pieces) if (piece[0] === slot) this.#applyDevices(1, piece);
    }
  }

  /** The worker's piece, or why it cannot be had. */
  #whole(worker: PlacedWorker): Piece | string {
    const inventory = this.#inventory;
    const slot = inventory.find(worker.nodeId);
    if (slot === -1) return 'the node is not known';
    const cpuUnits = cpuUnitsOf(worker.cpus);
    if (cpuUnits > inventory.freeCpuUnits(slot))
      return `only ${inventory.freeCpuUnits(slot) / unitsPerDevice} CPUs are free`;
    if (worker.memoryBytes > inventory.freeMemory(slot))
      return `only ${inventory.freeMemory(slot)} bytes of memory are free`;
    const units = Math.round(worker.share * unitsPerDevice);
    const piece = [slot, cpuUnits, worker.memoryBytes, worker.deviceIndices.length];
    for (const [at, index] of worker.deviceIndices.entries()) {
      const found = inventory.device(slot, index);
      if (found === null) return `it has no device ${index}`;
      const isTwice = worker.deviceIndices.indexOf(index) !== at;
      if (isTwice || (inventory.pools.deviceUnits[found.device] as number) < units)
        return `device ${index} is not free`;
      piece.push(index, units);
    }
    return piece;
  }

  /** As much of the worker's piece as is free; null when that is nothing. */
  #free(worker: PlacedWorker): Piece | null {
    const inventory = this.#inventory;
    const slot = inventory.find(worker.nodeId);
    if (slot === -1) return null;
    const cpuUnits = Math.max(0, Math.min(cpuUnitsOf(worker.cpus), inventory.freeCpuUnits(slot)));
    const memory = Math.max(0, Math.min(worker.memoryBytes, inventory.freeMemory(slot)));
    const devices: number[] = [];
    for (const index of new Set(worker.deviceIndices)) {
      const found = inventory.device(slot, index);
      if (found === null) continue;
      const units = Math.min(
        Math.round(worker.share * unitsPerDevice),
        inventory.pools.deviceUnits[found.device] as number,
      );
      if (units > 0) devices.push(index, units);
    }
    if (cpuUnits === 0 && memory === 0 && devices.length === 0) return null;
    return [slot, cpuUnits, memory, devices.length / 2, ...devices];
  }

  #apply(sign: 1 | -1, piece: Piece): void {
    const [slot, cpuUnits, memory] = piece as [number, number, number];
    this.#applyDevices(sign, piece);
    this.#inventory.use(sign, slot, cpuUnits, memory);
    this.#inventory.held(slot, sign);
  }

  /** Once for each node, however much of it has changed. */
  #tell(pieces: Piece[]): void {
    if (pieces.length === 1) this.#stocks.freeChanged((pieces[0] as Piece)[0] as number);
    else for (const slot of new Set(pieces.map(piece => piece[0] as number))) this.#stocks.freeChanged(slot);
  }

  /** Devices that the node no longer has are left out. */
  #applyDevices(sign: 1 | -1, piece: Piece): void {
    const { pools } = this.#inventory;
    const [slot, , , count] = piece as [number, number, number, number];
    for (let at = 0; at < count; at++) {
      const found = this.#inventory.device(slot, piece[4 + 2 * at] as number);
      if (found === null) continue;
      pools.use(sign, found.device, piece[5 + 2 * at] as number);
      pools.recount(found.pool);
    }
  }
}
