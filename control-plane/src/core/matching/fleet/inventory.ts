/** Every node of the fleet: what it is, what it has, what of it is used. Knows nothing of requests. */
import { pricePart, priceReferenceMicroUsdPerCpuHour, priceReferenceMicroUsdPerDeviceHour } from '../score.js';
import { grown, roomFor, Slots } from './columns.js';
import { FeatureBits } from './features.js';
import {
  cpuPriceAt,
  Figures,
  freeMemoryAt,
  gpuPriceAt,
  loadAt,
  offeredCpuAt,
  reputationAt,
  stakeAt,
} from './figures.js';
import { Geography } from './geography.js';
import { Models } from './models.js';
import { Names } from './names.js';
import { noModel, Pools } from './pools.js';
import { type FleetNode, maxDevicesPerNode, unitsPerDevice } from './types.js';

const present = 1;
const schedulable = 2;
/** A node that work may be placed on. */
export const open = present | schedulable;

export const cpuUnitsOf = (cpus: number): number => Math.round(cpus * unitsPerDevice);

/** The price part of the score before CPUs are added to devices: at least what it is with them. */
export const basePricePart = (hasDevices: boolean, gpuPrice: number, cpuPrice: number): number =>
  hasDevices
    ? pricePart(gpuPrice, priceReferenceMicroUsdPerDeviceHour)
    : pricePart(cpuPrice, priceReferenceMicroUsdPerCpuHour);

export class Inventory {
  readonly ids: string[] = [];
  readonly #slotOf = new Map<string, number>();
  readonly #slots = new Slots();
  readonly pools = new Pools();
  readonly models = new Models();
  readonly geography = new Geography();
  readonly features = new FeatureBits();
  readonly owners = new Names();
  readonly suppliers = new Names();
  readonly domains = new Names();
  /** By slot: features that share their bit with others. */
  readonly #named = new Map<number, string[]>();

  state = new Uint8Array(0);
  /** 0: shared; else 1 + the owner. */
  audience = new Int32Array(0);
  /** 1: it would be shared if it kept others' code apart. */
  heldBack = new Uint8Array(0);
  supplier = new Int32Array(0);
  domain = new Int32Array(0);
  country = new Int32Array(0);
  place = new Int32Array(0);
  site = new Int32Array(0);
  readonly figures = new Figures();
  cpuUnits = new Int32Array(0);
  cpuUnitsUsed = new Int32Array(0);
  memory = new Float64Array(0);
  memoryUsed = new Float64Array(0);
  firstPool = new Int32Array(0);
  /** How many holds there are on the node. */
  holds = new Int32Array(0);
  nextInDomain = new Int32Array(0);
  previousInDomain = new Int32Array(0);
  readonly firstInDomain: number[] = [];

  /** Nodes present. */
  size = 0;

  /** Throws a RangeError for figures that no node can have. */
  static check = check;

  /** -1 for one that is not known. */
  find(nodeId: string): number {
    return this.#slotOf.get(nodeId) ?? -1;
  }

  get end(): number {
    return this.#slots.end;
  }

  /** The node's slot, taken for it if it is new. */
  slotFor(nodeId: string): number {
    const known = this.#slotOf.get(nodeId);
    if (known !== undefined) return known;
    const slot = this.#slots.take();
    if (slot >= this.state.length) this.#grow(roomFor(slot + 1));
    this.ids[slot] = nodeId;
    this.#slotOf.set(nodeId, slot);
    this.state[slot] = 0;
    this.cpuUnitsUsed[slot] = 0;
    this.memoryUsed[slot] = 0;
    this.holds[slot] = 0;
    this.firstPool[slot] = -1;
    this.domain[slot] = -1;
    return slot;
  }

  /** Writes what is known of the node. Where `hasLayout` is not true of it, all its devices stand as free. */
  write(slot: number, node: FleetNode): void {
    if (((this.state[slot] as number) & present) === 0) this.size += 1;
    this.state[slot] = present | (node.schedulable ? schedulable : 0);
    this.audience[slot] = node.shared ? 0 : 1 + this.owners.id(node.ownerId);
    this.heldBack[slot] = node.heldBack ? 1 : 0;
    this.supplier[slot] = this.suppliers.id(node.supplierId);
    const { latitudeDeg, longitudeDeg } = node;
    const at = latitudeDeg === null || longitudeDeg === null ? null : { latitudeDeg, longitudeDeg };
    const place = this.geography.place(node.country, node.region, at);
    this.place[slot] = place;
    this.country[slot] = this.geography.placeCountry[place] as number;
    this.site[slot] = this.geography.site(place, at);
    const features = this.features.of(node);
    const { figures } = this;
    figures.setWords(slot, features.traits, features.rays);
    if (features.names.length > 0) this.#named.set(slot, features.names);
    else this.#named.delete(slot);
    this.cpuUnits[slot] = cpuUnitsOf(node.cpus);
    this.memory[slot] = node.memoryBytes;
    figures.set(slot, gpuPriceAt, node.microUsdPerGpuHour);
    figures.set(slot, cpuPriceAt, node.microUsdPerCpuHour);
    figures.set(slot, reputationAt, node.reputation);
    figures.set(slot, stakeAt, node.stake);
    figures.set(slot, loadAt, node.load);
    this.#offer(slot);
    this.#moveToDomain(slot, this.domains.id(node.domain));
    if (!this.hasLayout(slot, node)) this.#layOut(slot, node);
  }

  /** Takes the node out; its slot stays while anything is held there. */
  leave(slot: number): void {
    if (((this.state[slot] as number) & present) !== 0) this.size -= 1;
    this.state[slot] = 0;
    this.#offer(slot);
    this.#leaveDomain(slot);
    if (this.holds[slot] === 0) this.#forget(slot);
  }

  held(slot: number, change: 1 | -1): void {
    this.holds[slot] = (this.holds[slot] as number) + change;
    if (this.holds[slot] === 0 && this.state[slot] === 0) this.#forget(slot);
  }

  /** Takes (`sign` 1) or gives back (−1) CPUs and memory. */
  use(sign: 1 | -1, slot: number, cpuUnits: number, memory: number): void {
    this.cpuUnitsUsed[slot] = (this.cpuUnitsUsed[slot] as number) + sign * cpuUnits;
    this.memoryUsed[slot] = (this.memoryUsed[slot] as number) + sign * memory;
    this.#offer(slot);
  }

  has(slot: number, names: string[]): boolean {
    const own = this.#named.get(slot);
    return own !== undefined && names.every(name => own.includes(name));
  }

  /** Schedulable or not; false for nodes that were removed. */
  isPresent(slot: number): boolean {
    return ((this.state[slot] as number) & present) !== 0;
  }

  freeCpuUnits(slot: number): number {
    return (this.cpuUnits[slot] as number) - (this.cpuUnitsUsed[slot] as number);
  }

  freeMemory(slot: number): number {
    return this.figures.get(slot, freeMemoryAt);
  }

  /** May work be placed on the pool's node, and is anything of the pool free? */
  available(pool: number): boolean {
    const pools = this.pools;
    return this.state[pools.node(pool)] === open && (pools.model(pool) === noModel || pools.units(pool) > 0);
  }

  hasFreeDevices(slot: number): boolean {
    const { pools } = this;
    for (let pool = this.firstPool[slot] as number; pool !== -1; pool = pools.next(pool)) {
      if (pools.units(pool) > 0) return true;
    }
    return false;
  }

  /** Pool and device by the device's index on the node; null when the node has none such now. */
  device(slot: number, index: number): { pool: number; device: number } | null {
    for (let pool = this.firstPool[slot] as number; pool !== -1; pool = this.pools.next(pool)) {
      const device = this.pools.find(pool, index);
      if (device !== -1) return { pool, device };
    }
    return null;
  }

  /** Are the node's devices those that are known of it? */
  hasLayout(slot: number, node: FleetNode): boolean {
    const pools = this.pools;
    let pool = this.firstPool[slot] as number;
    if (pool === -1) return false;
    for (const { model, indices } of this.#layout(node)) {
      pool = pools.next(pool);
      if (pool === -1 || pools.model(pool) !== model || pools.devices(pool) !== indices.length) return false;
      const first = pools.firstDevice(pool);
      if (indices.some((index, offset) => pools.deviceIndex[first + offset] !== index)) return false;
    }
    return pools.next(pool) === -1;
  }

  #offer(slot: number): void {
    this.figures.set(slot, offeredCpuAt, this.state[slot] === open ? this.freeCpuUnits(slot) : -1);
    this.figures.set(slot, freeMemoryAt, (this.memory[slot] as number) - (this.memoryUsed[slot] as number));
  }

  #layOut(slot: number, node: FleetNode): void {
    this.#freePools(slot);
    let last = this.pools.create(slot, noModel, []);
    this.firstPool[slot] = last;
    for (const { model, indices } of this.#layout(node)) {
      const pool = this.pools.create(slot, model, indices);
      this.pools.setNext(last, pool);
      last = pool;
    }
  }

  #layout(node: FleetNode): { model: number; indices: number[] }[] {
    const indicesOf = new Map<number, number[]>();
    for (const pool of node.pools) {
      if (pool.count === 0) continue;
      const model = this.models.id(pool.model, pool.memoryBytes);
      indicesOf.set(model, [...(indicesOf.get(model) ?? []), ...pool.indices]);
    }
    return [...indicesOf].map(([model, indices]) => ({ model, indices }));
  }

  #freePools(slot: number): void {
    for (let pool = this.firstPool[slot] as number; pool !== -1; ) {
      const next = this.pools.next(pool);
      this.pools.free(pool);
      pool = next;
    }
    this.firstPool[slot] = -1;
  }

  #forget(slot: number): void {
    this.#freePools(slot);
    this.#slotOf.delete(this.ids[slot] as string);
    this.#named.delete(slot);
    this.ids[slot] = '';
    this.#slots.giveBack(slot);
  }

  #moveToDomain(slot: number, domain: number): void {
    if (this.domain[slot] === domain) return;
    this.#leaveDomain(slot);
    const first = this.firstInDomain[domain] ?? -1;
    this.domain[slot] = domain;
    this.nextInDomain[slot] = first;
    this.previousInDomain[slot] = -1;
    if (first !== -1) this.previousInDomain[first] = slot;
    this.firstInDomain[domain] = slot;
  }

  #leaveDomain(slot: number): void {
    const domain = this.domain[slot] as number;
    if (domain === -1) return;
    const next = this.nextInDomain[slot] as number;
    const previous = this.previousInDomain[slot] as number;
    if (previous === -1) this.firstInDomain[domain] = next;
    else this.nextInDomain[previous] = next;
    if (next !== -1) this.previousInDomain[next] = previous;
    this.domain[slot] = -1;
  }

  #grow(length: number): void {
    this.state = grown(this.state, length);
    this.audience = grown(this.audience, length);
    this.heldBack = grown(this.heldBack, length);
    this.supplier = grown(this.supplier, length);
    this.domain = grown(this.domain, length);
    this.country = grown(this.country, length);
    this.place = grown(this.place, length);
    this.site = grown(this.site, length);
    this.figures.grow(length);
    this.cpuUnits = grown(this.cpuUnits, length);
    this.cpuUnitsUsed = grown(this.cpuUnitsUsed, length);
    this.memory = grown(this.memory, length);
    this.memoryUsed = grown(this.memoryUsed, length);
    this.firstPool = grown(this.firstPool, length);
    this.holds = grown(this.holds, length);
    this.nextInDomain = grown(this.nextInDomain, length);
    this.previousInDomain = grown(this.previousInDomain, length);
  }
}

const isShare = (value: number) => value >= 0 && value <= 1;
const isAmount = (value: number) => value >= 0 && Number.isFinite(value);
const isMicroUsd = (value: number) => Number.isSafeInteger(value) && value >= 0 && value <= 1e10;

function check(node: FleetNode): void {
  const indices = node.pools.flatMap(pool => pool.indices);
  const wrong =
    (new Set(indices).size !== indices.length && 'a device index is named twice') ||
    (node.pools.some(pool => pool.count !== pool.indices.length) && 'a pool has another count than indices') ||
    (indices.length > maxDevicesPerNode && `it has more than ${maxDevicesPerNode} devices`) ||
    (!(isMicroUsd(node.microUsdPerGpuHour) && isMicroUsd(node.microUsdPerCpuHour)) &&
      'a price is not a whole number of micro-USD from 0 to 10,000 USD') ||
    (![node.reputation, node.stake, node.load].every(isShare) && 'reputation, stake or load is not from 0 to 1') ||
    (!(isAmount(node.cpus) && node.cpus <= 100_000 && isAmount(node.memoryBytes)) &&
      'CPUs or memory is not an amount that a machine can have');
  if (wrong) throw new RangeError(`Node ${node.nodeId}: ${wrong}`);
}
