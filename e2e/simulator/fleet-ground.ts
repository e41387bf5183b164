/** The real matching core as the queue's ground: every placement of the simulation is one that the product would make. */
import {
  Fleet,
  type FleetNode,
  type FleetPlacement,
  type PlacementRequest,
} from '@iocloud/control-plane/core/matching';
import { type GroundRefusal, isRefusal } from '@iocloud/control-plane/core/queueing';
import type { Claim, SimulatedGround } from './grounds.js';
import { unmet } from './unmet.js';

const refusals = {
  group: 'no machine that meets the requirements has room',
  together: 'there is room for each group of workers, but none was found for all of them together',
  price: 'there is room, but not at this price',
} as const;

export class FleetGround implements SimulatedGround<PlacementRequest, FleetPlacement> {
  readonly #fleet = new Fleet();
  /** The same machines with nothing held. */
  readonly #empty = new Fleet();
  /** As they are now. */
  readonly #nodes = new Map<string, FleetNode>();
  readonly #atFirst = new Map<string, FleetNode>();
  readonly #ofModel = new Map<string, string[]>();
  readonly #could = new WeakMap<PlacementRequest, boolean>();
  readonly #words = new WeakMap<PlacementRequest, string>();
  readonly #away = new Set<string>();
  readonly #holders = new Set<string>();
  readonly #machines = new WeakMap<FleetPlacement, readonly string[]>();

  constructor(nodes: readonly FleetNode[]) {
    for (const node of nodes) {
      this.#atFirst.set(node.nodeId, node);
      this.#change(node);
      for (const { model } of node.pools) {
        const alike = this.#ofModel.get(model) ?? [];
        alike.push(node.nodeId);
        this.#ofModel.set(model, alike);
      }
    }
  }

  place(request: PlacementRequest, maxMicroUsdPerHour: number | null): FleetPlacement | GroundRefusal {
    const answer = this.#fleet.place(capped(request, maxMicroUsdPerHour));
    return 'refused' in answer ? { refused: refusals[answer.refused] } : answer;
  }

  take(holder: string, placement: FleetPlacement): void {
    if (this.#holders.has(holder)) throw new Error(`${holder} holds a placement already`);
    this.#fleet.take(holder, placement);
    this.#holders.add(holder);
  }

  reserve(holder: string, placement: FleetPlacement): void {
    if (this.#holders.has(holder)) throw new Error(`${holder} holds a placement already`);
    this.#fleet.reserve(holder, placement);
    this.#holders.add(holder);
  }

  release(holder: string): void {
    if (this.#holders.delete(holder)) this.#fleet.release(holder);
  }

  touch(one: FleetPlacement, other: FleetPlacement): boolean {
    const [fewer, more] = [this.machinesOf(one), this.machinesOf(other)].sort((a, b) => a.length - b.length) as [
      readonly string[],
      readonly string[],
    ];
    if (fewer.length === 1) return more.includes(fewer[0] as string);
    const machines = new Set(fewer);
    return more.some(machineId => machines.has(machineId));
  }

  /** By model and country only: what else machines differ in is of no weight here. */
  concerns({ groups, where }: PlacementRequest, placement: FleetPlacement): boolean {
    const isAnyModel = groups.some(({ devices, accelerator }) => devices === 0 || accelerator?.models === undefined);
    if (isAnyModel && where.countries === undefined) return true;
    return this.machinesOf(placement).some(machineId => {
      const node = this.#nodes.get(machineId);
      if (!node || !(where.countries?.includes(node.country) ?? true)) return node === undefined;
      return isAnyModel || groups.some(({ accelerator }) => accelerator?.models?.includes(node.pools[0]?.model ?? ''));
    });
  }

  remove(machineId: string): void {
    const node = this.#nodes.get(machineId);
    if (!node) return;
    this.#away.add(machineId);
    this.#change({ ...node, schedulable: false });
  }

  restore(machineId: string): void {
    const node = this.#nodes.get(machineId);
    if (node && this.#away.delete(machineId)) this.#change({ ...node, schedulable: true });
  }

  setPrice(model: string, permille: number): void {
    for (const nodeId of this.#ofModel.get(model) ?? []) {
      const node = this.#nodes.get(nodeId);
      const atFirst = this.#atFirst.get(nodeId)?.microUsdPerGpuHour ?? 0;
      if (node) this.#change({ ...node, microUsdPerGpuHour: Math.round((atFirst * permille) / 1_000) });
    }
  }

  machinesOf(placement: FleetPlacement): readonly string[] {
    const known = this.#machines.get(placement);
    if (known) return known;
    const machines = [...new Set(placement.workers.map(({ nodeId }) => nodeId))];
    this.#machines.set(placement, machines);
    return machines;
  }

  claimsOf({ workers }: FleetPlacement): Claim[] {
    return workers.flatMap(({ nodeId, deviceIndices, share, cpus, memoryBytes }) => {
      const node = this.#nodes.get(nodeId);
      return [
        ...deviceIndices.map(index => ({ of: `device ${index} of ${nodeId}`, amount: share, whole: 1 })),
        { of: `CPUs of ${nodeId}`, amount: cpus, whole: node?.cpus ?? 0 },
        { of: `memory of ${nodeId}`, amount: memoryBytes, whole: node?.memoryBytes ?? 0 },
      ];
    });
  }

  shortcoming(request: PlacementRequest, placement: FleetPlacement, maxMicroUsdPerHour: number | null): string | null {
    return unmet(capped(request, maxMicroUsdPerHour), placement, nodeId => this.#nodes.get(nodeId));
  }

  noHarder(one: PlacementRequest, other: PlacementRequest): boolean {
    return one === other || (one.tenantId === other.tenantId && this.#wordsOf(one) === this.#wordsOf(other));
  }

  #wordsOf(request: PlacementRequest): string {
    const words = this.#words.get(request) ?? JSON.stringify(request);
    this.#words.set(request, words);
    return words;
  }

  contradiction(request: PlacementRequest): string | null {
    const answer = this.#fleet.place(request);
    const told = this.#fleet.explain(request);
    const same = JSON.stringify(told.placement ?? told.refusal) === JSON.stringify(answer);
    if (told.satisfiable === 'refused' in answer || !same)
      return `it says '${told.summary}', ${JSON.stringify(answer)}`;
    // Whoever is told that a group has no machine must find none, and the other way round.
    const isLone = request.groups.length === 1 && request.groups[0]?.workers === 1 && request.colocate === 'any';
    const fits = (told.groups[0]?.fitting ?? 0) > 0;
    if (isLone && request.maxMicroUsdPerHour === null && fits !== told.satisfiable)
      return `${told.groups[0]?.fitting} machines fit, it says`;
    return null;
  }

  fitsEmpty(request: PlacementRequest, maxMicroUsdPerHour: number | null): boolean {
    return !('refused' in this.#empty.place(capped(request, maxMicroUsdPerHour)));
  }

  couldCarry(request: PlacementRequest): boolean {
    if (request.maxMicroUsdPerHour !== null) return this.#allCould(request);
    // Without a ceiling it stays as it is: no machine leaves for ever.
    const known = this.#could.get(request) ?? this.#allCould(request);
    this.#could.set(request, known);
    return known;
  }

  #allCould(request: PlacementRequest): boolean {
    if (this.fitsEmpty(request, null)) return true;
    const away = [...this.#away].flatMap(machineId => this.#nodes.get(machineId) ?? []);
    for (const node of away) this.#empty.upsert({ ...node, schedulable: true });
    const fits = this.fitsEmpty(request, null);
    for (const node of away) this.#empty.upsert(node);
    return fits;
  }

  #change(node: FleetNode): void {
    this.#nodes.set(node.nodeId, node);
    this.#fleet.upsert(node);
    this.#empty.upsert(node);
  }
}

/** A ground with a fault in it, to see that the checks find it: it forgets at times what has been taken. */
export class ForgetfulFleet extends FleetGround {
  #taken = 0;

  override take(holder: string, placement: FleetPlacement): void {
    this.#taken += 1;
    super.take(holder, placement);
    if (this.#taken % 10 === 0) super.release(holder);
  }
}

/** A ground with a fault in it: it leaves out the last worker of a gang. */
export class PartialFleet extends FleetGround {
  override place(request: PlacementRequest, maxMicroUsdPerHour: number | null): FleetPlacement | GroundRefusal {
    const answer = super.place(request, maxMicroUsdPerHour);
    return isRefusal(answer) || answer.workers.length === 1
      ? answer
      : { ...answer, workers: answer.workers.slice(0, -1) };
  }
}

function capped(request: PlacementRequest, maxMicroUsdPerHour: number | null): PlacementRequest {
  if (maxMicroUsdPerHour === null) return request;
  const own = request.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY;
  return own <= maxMicroUsdPerHour ? request : { ...request, maxMicroUsdPerHour };
}
