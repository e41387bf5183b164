/**
 * The zones of a forest as numbers: who is in them, whose they are, and where their bounds are. The bounds of zones that
 * are looked at together, the members of one, lie beside each other.
 */
import { Bounds } from './bounds.js';
import { cardSize, writeCard } from './cards.js';
import { grown, roomFor, Slots } from './columns.js';
import type { Inventory } from './inventory.js';

/** Most members of a zone. */
export const fanOut = 16;

const unknown = -1;

export class Zones {
  readonly #inventory: Inventory;
  readonly bounds: Bounds;
  readonly #slots = new Slots();
  readonly #blocks = new Slots();
  /** Blocks of bounds for the roots of so many stocks each. */
  readonly #rootBlocks: number[] = [];
  /** By pool: the leaf that it is in, or -1. */
  leaf = new Int32Array(0);
  /** By zone. Leaves have level 0. */
  level = new Uint8Array(0);
  size = new Uint8Array(0);
  /** `fanOut` each: zones in the order of their keys, or, of a leaf, pools in any order. */
  members = new Int32Array(0);
  /** Of leaves: each member's card. */
  cards = new Int32Array(0);
  /** Of what stock all its pools are. */
  stock = new Int32Array(0);
  /** -1 for a root. */
  parent = new Int32Array(0);
  /** Where its bounds are. */
  row = new Int32Array(0);
  /** Where the bounds of its members are, in their order, if they are zones: `fanOut` rows from here. */
  rows = new Int32Array(0);
  /** Of zones of zones: below this no member has a key, the first one's aside. */
  lows = new Float64Array(0);
  /** Of a leaf, changes since its bounds were exact, and searches that opened it for nothing since the first of them. */
  loose = new Uint8Array(0);
  /** The node with the smallest id. */
  #firstNode = new Int32Array(0);

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
    this.bounds = new Bounds(inventory);
  }

  /** The node with the smallest id of all in the zone. */
  first(zone: number): number {
    const known = this.#firstNode[zone] as number;
    if (known !== unknown) return known;
    const { ids, pools } = this.#inventory;
    const start = zone * fanOut;
    const end = start + (this.size[zone] as number);
    let best = unknown;
    for (let at = start; at < end; at++) {
      const member = this.members[at] as number;
      const node = this.level[zone] === 0 ? pools.node(member) : this.first(member);
      if (best === unknown || (ids[node] as string) < (ids[best] as string)) best = node;
    }
    this.#firstNode[zone] = best;
    return best;
  }

  /** To be called when a pool has come or gone. */
  forgetFirst(from: number): void {
    for (let zone = from; zone !== -1 && this.#firstNode[zone] !== unknown; zone = this.parent[zone] as number) {
      this.#firstNode[zone] = unknown;
    }
  }

  /** Writes a leaf's member's card. */
  note(leaf: number, index: number): void {
    const at = leaf * fanOut + index;
    writeCard(this.cards, at * cardSize, this.#inventory, this.members[at] as number);
  }

  /** Tells the members whose they are, and zones where their bounds are. */
  adopt(zone: number): void {
    const start = zone * fanOut;
    const size = this.size[zone] as number;
    for (let index = 0; index < size; index++) {
      const member = this.members[start + index] as number;
      if (this.level[zone] === 0) this.leaf[member] = zone;
      else {
        this.parent[member] = zone;
        this.row[member] = (this.rows[zone] as number) + index;
      }
    }
  }

  /** Copies members, and with zones their bounds. `adopt` must follow. */
  move(from: number, index: number, to: number, toIndex: number, count: number): void {
    const start = from * fanOut + index;
    this.members.copyWithin(to * fanOut + toIndex, start, start + count);
    if (this.level[from] === 0) {
      const at = (to * fanOut + toIndex) * cardSize;
      this.cards.copyWithin(at, start * cardSize, (start + count) * cardSize);
      return;
    }
    this.lows.copyWithin(to * fanOut + toIndex, start, start + count);
    this.bounds.copy((this.rows[from] as number) + index, (this.rows[to] as number) + toIndex, count);
  }

  /** Where in the zone the member is. Throws when it is not. */
  indexOf(zone: number, member: number): number {
    const start = zone * fanOut;
    const end = start + (this.size[zone] as number);
    for (let at = start; at < end; at++) if (this.members[at] === member) return at - start;
    throw new Error(`${member} is not in zone ${zone}`);
  }

  /** Takes the member out; bounds stay as they were. */
  remove(zone: number, index: number): void {
    const size = this.size[zone] as number;
    this.move(zone, index + 1, zone, index, size - index - 1);
    this.size[zone] = size - 1;
    if (this.level[zone] !== 0) this.adopt(zone);
  }

  /** Where the bounds of a stock's root are. */
  rootRow(stock: number): number {
    const block = Math.floor(stock / fanOut);
    while (this.#rootBlocks.length <= block) this.#rootBlocks.push(this.#block());
    return (this.#rootBlocks[block] as number) + (stock % fanOut);
  }

  /** Room for the bounds of `fanOut` zones, from the number returned. */
  #block(): number {
    const first = this.#blocks.take() * fanOut;
    this.bounds.reserve(first + fanOut);
    return first;
  }

  /** Gives up a zone, whose members are elsewhere by now. */
  free(zone: number): void {
    if (this.level[zone] !== 0) this.#blocks.giveBack((this.rows[zone] as number) / fanOut);
    this.#slots.giveBack(zone);
  }

  /** A zone without members, of no parent and without bounds. */
  create(stock: number, level: number): number {
    const zone = this.#slots.take();
    if (zone >= this.level.length) this.#growZones(roomFor(zone + 1));
    this.stock[zone] = stock;
    this.level[zone] = level;
    this.rows[zone] = level === 0 ? -1 : this.#block();
    this.size[zone] = 0;
    this.parent[zone] = -1;
    this.loose[zone] = 0;
    this.#firstNode[zone] = unknown;
    return zone;
  }

  #growZones(length: number): void {
    this.level = grown(this.level, length);
    this.size = grown(this.size, length);
    this.members = grown(this.members, length * fanOut);
    this.cards = grown(this.cards, length * fanOut * cardSize);
    this.parent = grown(this.parent, length);
    this.stock = grown(this.stock, length);
    this.row = grown(this.row, length);
    this.rows = grown(this.rows, length);
    this.lows = grown(this.lows, length * fanOut);
    this.loose = grown(this.loose, length);
    this.#firstNode = grown(this.#firstNode, length);
  }

  /** Makes room for pools below `length`. */
  growPools(length: number): void {
    const known = this.leaf.length;
    this.leaf = grown(this.leaf, length).fill(-1, known);
  }
}
