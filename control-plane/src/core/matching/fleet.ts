/** The fleet: all nodes, what of them is held, and where a request can go. */

import type { NodeId } from '@iocloud/contracts';
import { type Explanation, explain } from './explain.js';
import { decide } from './fleet/decide.js';
import { describe } from './fleet/describe.js';
import { shareOf } from './fleet/gang.js';
import { Latencies } from './fleet/geography.js';
import { Holds } from './fleet/holds.js';
import { Inventory } from './fleet/inventory.js';
import { check, compile, type GroupQuery } from './fleet/query.js';
import { type Ground, Search } from './fleet/search.js';
import { Stocks } from './fleet/stocks.js';
import type { Put } from './fleet/trial.js';
import type { FleetCandidate, FleetNode, FleetPlacement, PlacementRefusal, PlacementRequest } from './fleet/types.js';

/**
 * Deterministic: the same nodes and holds give the same answers, in whatever order they came; ties go to the smaller node
 * id. Nothing here scans the fleet but `explain`. With n nodes, a change of a node or of what is held on it costs O(log n);
 * a decision O(log n) for each zone that must be opened: the fewer nodes that score better lack what is asked in ways that
 * bounds do not show (a certificate that many nodes have, but not the best), the fewer are opened. In the worst case, where
 * such are almost all, that is O(n).
 */
export class Fleet {
  readonly #ground: Ground;
  readonly #holds: Holds;
  #latencies: Latencies | null = null;

  constructor() {
    const inventory = new Inventory();
    const stocks = new Stocks(inventory);
    this.#ground = { inventory, stocks, frontiers: [] };
    this.#holds = new Holds(inventory, stocks);
  }

  /** Nodes that are in the fleet, schedulable or not. */
  get size(): number {
    return this.#ground.inventory.size;
  }

  /** Adds the node, or writes what has changed of it. What is held there stays held. Throws a RangeError for figures that no node can have. */
  upsert(node: FleetNode): void {
    const { inventory, stocks } = this.#ground;
    Inventory.check(node);
    const slot = inventory.slotFor(node.nodeId);
    const isNewLayout = !inventory.hasLayout(slot, node);
    if (isNewLayout) stocks.drop(slot);
    inventory.write(slot, node);
    if (isNewLayout && (inventory.holds[slot] as number) > 0) this.#holds.mark(slot);
    stocks.changed(slot);
  }

  /** Takes the node out. What is held there stays known until it is released, also if the node comes back. */
  remove(nodeId: NodeId): void {
    const { inventory, stocks } = this.#ground;
    const slot = inventory.find(nodeId);
    if (slot === -1) return;
    stocks.drop(slot);
    inventory.leave(slot);
  }

  /**
   * Where all workers of the request go, or why they do not. Changes nothing.
   *
   * Group by group (most devices for each worker first), worker by worker, each at the pool with the best score (`score.ts`)
   * given those before it: exactly the pool that a scan of the whole fleet would choose, so for one worker the best there is.
   * With `colocate`, see `placeTogether` in `fleet/gang.ts` for which domain or node is taken. Where that costs more than the
   * ceiling, it is done again with the price's weight ×4, ×16, … ×1024, and at last by price alone.
   *
   * Of a refusal, `certain` says whether it is proved:
   * - One group: always (greedy finds room for equal workers wherever there is any, and by price alone the cheapest), except
   *   for cells with anti-affinity over suppliers, countries or domains larger than what the cells are in, and for cells under
   *   a ceiling that is neither met nor below what the workers would cost anywhere.
   * - Several groups: all orders of up to three groups are tried (of more: two). It is proved when one group alone has no
   *   room, when the groups apart would cost more than the ceiling, or when, for at most 8 workers that at most 32 pools for
   *   each group can carry, every combination has been tried. Otherwise `certain` is false.
   *
   * Throws a RangeError for amounts that make no sense (see `check` in `fleet/query.ts`).
   */
  place(request: PlacementRequest): FleetPlacement | PlacementRefusal {
    check(request);
    const queries = this.#compile(request);
    if (queries === null) return { refused: 'group', group: request.groups[0]?.name ?? null, certain: true };
    return decide(this.#ground, request, queries, (puts, price) => this.#placement(puts, price));
  }

  /** Holds all that the placement has, on top of what the holder has already. Throws when anything of it is not free, and then holds nothing of it. */
  take(holder: string, placement: FleetPlacement): void {
    this.#holds.take(holder, placement, 'all');
  }

  /** Holds of each node and device what is free, up to the placement. A node that is not known is passed over. */
  reserve(holder: string, placement: FleetPlacement): void {
    this.#holds.take(holder, placement, 'free');
  }

  /** Frees all that the holder has; nothing happens when it has nothing. */
  release(holder: string): void {
    this.#holds.release(holder);
  }

  /** For each group, the best `limit` pools for one worker as the fleet is now, the best first. */
  candidates(request: PlacementRequest, limit: number): FleetCandidate[] {
    check(request);
    const ground = this.#ground;
    return (this.#compile(request) ?? []).flatMap(query => {
      const search = new Search(ground, [query], { first: limit === 1 });
      const found: FleetCandidate[] = [];
      while (found.length < limit && search.next())
        found.push(describe(ground.inventory, query, search.pool, search.score));
      search.end();
      return found;
    });
  }

  /** Says what `place` says, and why; for people, so it may look at every node. */
  explain(request: PlacementRequest): Explanation {
    return explain(this, this.#ground.inventory, request, point => this.#latenciesFrom(point));
  }

  #compile(request: PlacementRequest): GroupQuery[] | null {
    return compile(request, this.#ground.inventory, point => this.#latenciesFrom(point));
  }

  #latenciesFrom(point: { latitudeDeg: number; longitudeDeg: number }): Latencies {
    const { latitudeDeg, longitudeDeg } = point;
    const last = this.#latencies;
    if (last && last.from.latitudeDeg === latitudeDeg && last.from.longitudeDeg === longitudeDeg) return last;
    this.#latencies = new Latencies(this.#ground.inventory.geography, point);
    return this.#latencies;
  }

  #placement(puts: Put[], price: number): FleetPlacement {
    const { ids, pools, models } = this.#ground.inventory;
    const sorted = [...puts].sort((a, b) => a.query.position - b.query.position || a.ordinal - b.ordinal);
    const workers = sorted.map(put => ({
      group: put.query.group.name,
      ordinal: put.ordinal,
      nodeId: ids[pools.node(put.pool)] as NodeId,
      model: models.slug(pools.model(put.pool)),
      deviceIndices: put.devices.map(device => pools.deviceIndex[device] as number),
      share: shareOf(put.query),
      cpus: put.query.group.cpus,
      memoryBytes: put.query.group.memoryBytes,
      cell: put.cell,
      microUsdPerHour: put.price,
    }));
    const score = sorted.reduce((total, put) => total + put.score, 0) / sorted.length;
    return { workers, microUsdPerHour: price, score };
  }
}
