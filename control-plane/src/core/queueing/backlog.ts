/**
 * What waits, found in logarithmic time. Workloads that differ in nothing that quotas and ground look at stand in one
 * lane, first come first served: when the first of a lane cannot go, none of them can, and the lane is parked until what
 * it waits for changes. Only what others were stopped for can, as it has a place that no other may go to, and what quota is
 * kept for that the others wait for: such a one is the first.
 * What waits for a price alone is no reason for those behind it: it is set aside, out of its lane.
 * Waking costs as much as parking did, so a step never costs more than the tries that it makes.
 */
import { type Entry, ranksBefore } from './entry.js';
import { OrderedHeap } from './ordered-heap.js';
import type { Demand } from './quota.js';

export interface Lane<Request, Placement> {
  readonly tenant: TenantLanes<Request, Placement>;
  readonly signature: string;
  readonly items: OrderedHeap<Entry<Request, Placement>>;
  /** The set that it is parked in. Null while it stands in the order. */
  parkedIn: Set<Lane<Request, Placement>> | null;
  /** Quotas answer the lanes of one tenant and one such alike. */
  readonly quotaKey: string;
  /**
   * It was woken for others that wait for the same: `kind`, for those that quotas answer alike, of whom the next is to be
   * looked at when it no longer waits; `loan` and `turn`, for all, of whom the next is to be looked at whatever becomes of it.
   */
  wokenFor: 'kind' | 'loan' | 'turn' | null;
}

interface TenantLanes<Request, Placement> {
  readonly tenantId: string;
  readonly lanes: Map<string, Lane<Request, Placement>>;
  /** Those in the order. */
  readonly active: OrderedHeap<Lane<Request, Placement>>;
  handicapMs: number;
}

/**
 * Workloads of one signature get the same answers but for price and time. Those that may go at any price stand apart: they
 * would wait for the cheap places of those that may not, while others take the dear ones.
 */
function signatureOf<Request, Placement>({ workload }: Entry<Request, Placement>): string {
  const { shape, priorityClass, preemptible, expectedDurationMs, demand, cheapWindow, budgetMicroUsd } = workload;
  const isPriced = cheapWindow !== null || budgetMicroUsd !== null;
  return `${priorityClass} ${preemptible} ${expectedDurationMs} ${isPriced} ${inWords(demand)}${shape}`;
}

/** Of no two unlike demands the same, whatever resources are called. */
function inWords(demand: Demand): string {
  let words = '';
  for (const name in demand) words += `${name.length} ${name} ${demand[name]}, `;
  return words;
}

function firstInLane<Request, Placement>(one: Entry<Request, Placement>, other: Entry<Request, Placement>): boolean {
  return one.leads === other.leads ? ranksBefore(one, other) : one.leads;
}

const first = <Item>(heap: OrderedHeap<Item>): Item => {
  const item = heap.first();
  if (item === undefined) throw new Error('an empty lane stands in the order');
  return item;
};

export class Backlog<Request, Placement> {
  readonly #tenants = new Map<string, TenantLanes<Request, Placement>>();
  readonly #order = new OrderedHeap<TenantLanes<Request, Placement>>((one, other) => this.#tenantBefore(one, other));
  readonly #parked = new Map<string, Set<Lane<Request, Placement>>>();

  /** The lane whose first workload is next of all. */
  next(): Lane<Request, Placement> | undefined {
    const tenant = this.#order.first();
    return tenant && first(tenant.active);
  }

  add(entry: Entry<Request, Placement>): void {
    const tenant = this.#tenant(entry.workload.tenantId);
    const signature = signatureOf(entry);
    const lane: Lane<Request, Placement> = tenant.lanes.get(signature) ?? {
      tenant,
      signature,
      items: new OrderedHeap<Entry<Request, Placement>>(firstInLane),
      parkedIn: null,
      quotaKey: `${entry.workload.preemptible} ${inWords(entry.workload.demand)}${tenant.tenantId}`,
      wokenFor: null,
    };
    tenant.lanes.set(signature, lane);
    lane.items.add(entry);
    entry.lane = lane;
    if (lane.items.first() !== entry) return;
    this.wake(lane);
  }

  remove(entry: Entry<Request, Placement>): void {
    const { lane } = entry;
    if (!lane) return;
    const wasFirst = lane.items.first() === entry;
    lane.items.remove(entry);
    entry.lane = null;
    if (lane.items.size === 0) {
      lane.parkedIn?.delete(lane);
      lane.tenant.lanes.delete(lane.signature);
      lane.tenant.active.remove(lane);
      this.#reorder(lane.tenant);
    } else if (wasFirst) this.wake(lane);
  }

  /** Its lane is looked at again where another is the first of it now. */
  setLeads(entry: Entry<Request, Placement>, leads: boolean): void {
    const { lane } = entry;
    const before = lane?.items.first();
    entry.leads = leads;
    if (!lane) return;
    lane.items.moved(entry);
    if (lane.items.first() !== before) this.wake(lane);
  }

  /** Takes a lane out of the order until what `key` names is woken. */
  park(lane: Lane<Request, Placement>, key: string): void {
    const by = this.#parked.get(key) ?? new Set();
    this.#parked.set(key, by);
    by.add(lane);
    lane.parkedIn = by;
    lane.tenant.active.remove(lane);
    this.#reorder(lane.tenant);
  }

  /** With a tenant, only its lanes. */
  wakeAll(key: string, tenantId: string | null = null): void {
    for (const lane of this.#parked.get(key) ?? []) {
      if (tenantId === null || lane.tenant.tenantId === tenantId) this.wake(lane);
    }
  }

  /** Of the lanes that quotas answer alike, only the first, if it may go: while that has to wait, so have the others. */
  wakeFirsts(key: string, mayGo: (entry: Entry<Request, Placement>) => boolean): void {
    const firsts = new Map<string, Lane<Request, Placement>>();
    for (const lane of this.#parked.get(key) ?? []) {
      const known = firsts.get(lane.quotaKey);
      if (!known || ranksBefore(first(lane.items), first(known.items))) firsts.set(lane.quotaKey, lane);
    }
    for (const lane of firsts.values()) {
      if (!mayGo(first(lane.items))) continue;
      lane.wokenFor = 'kind';
      this.wake(lane);
    }
  }

  /** The first of those that may go; once it has been looked at, this is to be called again. */
  wakeNext(key: string, wokenFor: 'loan' | 'turn', mayGo: (entry: Entry<Request, Placement>) => boolean): void {
    let next: Lane<Request, Placement> | null = null;
    for (const lane of this.#parked.get(key) ?? []) {
      if ((next === null || this.#laneBefore(lane, next)) && mayGo(first(lane.items))) next = lane;
    }
    if (next === null) return;
    next.wokenFor = wokenFor;
    this.wake(next);
  }

  wake(lane: Lane<Request, Placement>): void {
    lane.parkedIn?.delete(lane);
    lane.parkedIn = null;
    lane.tenant.active.add(lane);
    this.#reorder(lane.tenant);
  }

  setHandicap(tenantId: string, handicapMs: number): void {
    const tenant = this.#tenant(tenantId);
    if (tenant.handicapMs === handicapMs) return;
    tenant.handicapMs = handicapMs;
    this.#reorder(tenant);
  }

  handicapMs(tenantId: string): number {
    return this.#tenant(tenantId).handicapMs;
  }

  #reorder(tenant: TenantLanes<Request, Placement>): void {
    if (tenant.active.size === 0) this.#order.remove(tenant);
    else this.#order.add(tenant);
  }

  #laneBefore(one: Lane<Request, Placement>, other: Lane<Request, Placement>): boolean {
    return this.#before(one.tenant, first(one.items), other.tenant, first(other.items));
  }

  #tenantBefore(one: TenantLanes<Request, Placement>, other: TenantLanes<Request, Placement>): boolean {
    return this.#before(one, first(first(one.active).items), other, first(first(other.active).items));
  }

  #before(
    ofA: TenantLanes<Request, Placement>,
    a: Entry<Request, Placement>,
    ofB: TenantLanes<Request, Placement>,
    b: Entry<Request, Placement>,
  ): boolean {
    const aMs = a.rankMs + ofA.handicapMs;
    const bMs = b.rankMs + ofB.handicapMs;
    return aMs === bMs ? ranksBefore(a, b) : aMs < bMs;
  }

  #tenant(tenantId: string): TenantLanes<Request, Placement> {
    const known = this.#tenants.get(tenantId);
    if (known) return known;
    const tenant: TenantLanes<Request, Placement> = {
      tenantId,
      lanes: new Map(),
      active: new OrderedHeap<Lane<Request, Placement>>((one, other) =>
        ranksBefore(first(one.items), first(other.items)),
      ),
      handicapMs: 0,
    };
    this.#tenants.set(tenantId, tenant);
    return tenant;
  }
}
