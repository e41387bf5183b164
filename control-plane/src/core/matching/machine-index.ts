/**
 * All machines, indexed, kept in step one by one: names the few that matter for what is to be placed, so that a decision
 * need not look at the whole fleet. The decision itself is made on the machines' own records, by `suitable` and
 * `placeTogether`.
 */
import type { NodeId, Requirements, TenantId } from '@iocloud/contracts';
import { fleetNodeOf, inUse, type MachineFacts, requestOf } from './demand.js';
import type { PlacementRequest, Weights } from './fleet/types.js';
import { Fleet } from './fleet.js';
import type { Offer, Want } from './place.js';

/** Ray nodes that must all stand on one machine. */
export interface Ask {
  tenantId: TenantId;
  wants: Want[];
  rayVersion: string;
  requirements: Requirements | undefined;
}

/** What requires nothing goes where it fits closest, as in `placeTogether` of place.ts. */
const closestFit: Weights = { price: 0, speed: 0, place: 0, reputation: 0, stake: 0, load: 0, fit: 1 };

function toRequest({ tenantId, wants, rayVersion, requirements }: Ask): PlacementRequest {
  const request = requestOf(tenantId, wants, rayVersion, requirements ?? {});
  return requirements === undefined ? { ...request, weights: closestFit } : request;
}

export class MachineIndex {
  readonly #now = new Fleet();
  /** The same machines with nothing on them. */
  readonly #empty = new Fleet();
  /** In the order in which they were written last. */
  readonly #ids = new Set<NodeId>();

  get size(): number {
    return this.#ids.size;
  }

  /** Those that were written the longest ago, first. */
  oldest(count: number): NodeId[] {
    const ids: NodeId[] = [];
    for (const id of this.#ids) {
      if (ids.length === count) break;
      ids.push(id);
    }
    return ids;
  }

  /** Adds the machine, or writes what has changed of it or on it. */
  put(offer: Offer & MachineFacts): void {
    const node = fleetNodeOf(offer);
    this.#now.release(holderOf(offer.nodeId));
    this.#now.upsert(node);
    this.#empty.upsert(node);
    this.#now.reserve(holderOf(offer.nodeId), inUse(offer.used, node));
    this.#ids.delete(offer.nodeId);
    this.#ids.add(offer.nodeId);
  }

  remove(nodeId: NodeId): void {
    if (!this.#ids.delete(nodeId)) return;
    this.#now.release(holderOf(nodeId));
    this.#now.remove(nodeId);
    this.#empty.remove(nodeId);
  }

  /**
   * For each ask in turn the best machine that has room beside those before it; and for asks that find none, up to
   * `spare` machines (the best) that would carry the first of their wants if nothing ran there. So whoever finds room on the
   * machines named would find it in the whole fleet, and as long as asks go to the machines named for them, also the
   * other way round.
   */
  choose(asks: readonly Ask[], spare: number): Set<NodeId> {
    const chosen = new Set<NodeId>();
    const held: string[] = [];
    const searched = new Set<string>();
    for (const [number, ask] of asks.entries()) {
      const request = toRequest(ask);
      const placement = this.#now.place(request);
      if (!('refused' in placement)) {
        for (const { nodeId } of placement.workers) chosen.add(nodeId);
        this.#now.take(`ask ${number}`, placement);
        held.push(`ask ${number}`);
        continue;
      }
      const kind = JSON.stringify(request);
      if (searched.has(kind)) continue;
      searched.add(kind);
      const [first] = request.groups;
      if (!first) continue;
      const one = { ...request, groups: [{ ...first, workers: 1 }] };
      for (const { nodeId } of this.#empty.candidates(one, spare)) chosen.add(nodeId);
    }
    for (const holder of held) this.#now.release(holder);
    return chosen;
  }
}

const holderOf = (nodeId: NodeId) => `in use on ${nodeId}`;
