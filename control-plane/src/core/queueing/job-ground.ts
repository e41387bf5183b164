/**
 * Where jobs can go: the tenant's clusters that are up, those that are coming up, and a new one on a machine that has room
 * or would have once idle clusters were released. What the queue tries on it changes nothing outside.
 */
import type { ClusterId, NodeId, Requirements, TenantId } from '@iocloud/contracts';
import {
  type Candidate,
  empty,
  type MachineFacts,
  makeRoom,
  type Need,
  type Offer,
  placeTogether,
  priceOf,
  suitable,
  suitableIfEmpty,
  type Use,
  type Want,
} from '../matching/index.js';
import type { Needs } from './amounts.js';
import { ClusterDraft, type JobCluster, type JobHold } from './cluster-draft.js';
import { type Ground, type GroundRefusal, isRefusal } from './ground.js';

export interface JobRequest {
  tenantId: TenantId;
  needs: Needs;
  /** Name or id of the only cluster that it may run on; null: any. */
  wantedCluster: string | null;
  /** Its class stops others: then idle clusters of other tenants, too, go for it. */
  preempts: boolean;
  /** The one Ray node of a cluster brought up for it, or why none can be. */
  node: Want | { impossible: string };
}

/** `releases`: idle clusters that must go first. */
export interface NewCluster {
  kind: 'new';
  tenantId: TenantId;
  nodeId: NodeId;
  use: Use;
  releases: ClusterId[];
  microUsdPerHour: number;
}

export type JobPlacement = JobHold | NewCluster;

/** What a cluster holds of a machine. */
export interface Occupant {
  clusterId: ClusterId;
  tenantId: TenantId;
  use: Use;
  /** It has been told to end: as good as free, but not yet. */
  ending: boolean;
  /** From when it may be released once no job runs there, ms since the epoch; null: not at all. */
  spareSinceMs: number | null;
  /** A user’s own, which gave leave to stop it: only for urgent work. */
  onlyForUrgent: boolean;
}

/** A machine that takes new work; `used`: all that is held of it, by whomever. */
export type JobMachine = Offer & MachineFacts & { occupants: Occupant[] };

export interface JobGroundTerms {
  maxJobsPerCluster: number;
  rayVersion: string;
  /** The machines given are some of very many. */
  isPart?: boolean | undefined;
}

interface MachineDraft {
  machine: JobMachine;
  /** Of new clusters that are being placed there. */
  held: Map<string, Use>;
}

const plus = (one: Use, other: Use): Use => ({
  cpus: one.cpus + other.cpus,
  memoryBytes: one.memoryBytes + other.memoryBytes,
  devices: [...one.devices, ...other.devices],
});

export class JobGround implements Ground<JobRequest, JobPlacement> {
  readonly #clusters = new Map<ClusterId, ClusterDraft>();
  readonly #byTenant = new Map<TenantId, ClusterDraft[]>();
  readonly #machines = new Map<NodeId, MachineDraft>();
  readonly #machineOfCluster = new Map<ClusterId, NodeId>();
  readonly #held = new Map<string, JobPlacement>();
  /** CPUs of each cluster that is being brought up and that several jobs may share. */
  readonly #coming = new Map<string, NewCluster>();
  /** A place on a machine was asked for, and the machines were not given. */
  asksForMachines = false;

  /** `machines` null: they are looked at only where it comes to that. */
  constructor(
    clusters: readonly JobCluster[],
    readonly machines: readonly JobMachine[] | null,
    readonly terms: JobGroundTerms,
  ) {
    for (const cluster of [...clusters].sort((one, other) => (one.id < other.id ? -1 : 1))) {
      const draft = new ClusterDraft(cluster, terms.maxJobsPerCluster);
      this.#clusters.set(cluster.id, draft);
      this.#byTenant.set(cluster.tenantId, [...(this.#byTenant.get(cluster.tenantId) ?? []), draft]);
    }
    for (const machine of machines ?? []) {
      this.#machines.set(machine.nodeId, { machine, held: new Map() });
      for (const { clusterId } of machine.occupants) this.#machineOfCluster.set(clusterId, machine.nodeId);
    }
  }

  cluster(id: ClusterId): JobCluster | undefined {
    return this.#clusters.get(id)?.cluster;
  }

  place(request: JobRequest, maxMicroUsdPerHour: number | null): JobPlacement | GroundRefusal {
    const own = this.#byTenant.get(request.tenantId) ?? [];
    if (request.wantedCluster !== null) return this.#placeOn(request.wantedCluster, request, own, maxMicroUsdPerHour);
    const eligible = own.filter(draft => draft.neverFits(request) === null);
    const within = (draft: ClusterDraft) =>
      draft.noRoom(request) === null &&
      (maxMicroUsdPerHour === null || draft.hold(request).microUsdPerHour <= maxMicroUsdPerHour);
    // The fullest that has room, so that the others fall idle and are released; what its own load has filled, last.
    const [warm] = eligible
      .filter(draft => draft.cluster.phase === 'ready' && within(draft))
      .sort((one, other) => Number(one.cluster.saturated) - Number(other.cluster.saturated) || one.free - other.free);
    if (warm) return warm.hold(request);
    // A user's own cluster without machines may never get any; one brought up for a job is worth waiting for.
    const [coming] = eligible
      .filter(
        draft =>
          draft.cluster.phase !== 'ready' &&
          (draft.cluster.origin === 'job' || draft.cluster.phase === 'provisioning') &&
          within(draft),
      )
      .sort((one, other) => spare(one) - spare(other) || one.free - other.free);
    if (coming) return coming.hold(request);
    return this.#placeNew(request, eligible, maxMicroUsdPerHour);
  }

  #placeOn(
    wanted: string,
    request: JobRequest,
    own: ClusterDraft[],
    maxMicroUsdPerHour: number | null,
  ): JobPlacement | GroundRefusal {
    const draft =
      own.find(({ cluster }) => cluster.id === wanted) ?? own.find(({ cluster }) => cluster.name === wanted);
    if (!draft) {
      const cells = own.filter(candidate => candidate.isNamed(wanted));
      if (cells.length > 0) return placeOnCells(wanted, request, cells, maxMicroUsdPerHour);
      return { refused: `Waiting for cluster ${wanted}: no cluster of that name or id is up or coming up.` };
    }
    const lack = draft.neverFits(request);
    if (lack) {
      return { refused: `Cluster ${wanted} can never run this job: ${lack}. Scale the cluster, or stop the job.` };
    }
    const full = draft.noRoom(request);
    if (full !== null) {
      const { name, phase, waitingFor } = draft.cluster;
      return {
        refused:
          phase === 'ready'
            ? `Waiting for room on cluster ${name}: ${full}.`
            : `Waiting for cluster ${name}: ${waitingFor}.`,
      };
    }
    const hold = draft.hold(request);
    if (maxMicroUsdPerHour !== null && hold.microUsdPerHour > maxMicroUsdPerHour) {
      return { refused: `Cluster ${draft.cluster.name} costs more than the job may.` };
    }
    return hold;
  }

  #placeNew(
    request: JobRequest,
    eligible: ClusterDraft[],
    maxMicroUsdPerHour: number | null,
  ): NewCluster | GroundRefusal {
    const { node, needs, tenantId } = request;
    if ('impossible' in node) return { refused: `No cluster can be brought up for this job: ${node.impossible}.` };
    if (this.machines === null) {
      this.asksForMachines = true;
      return { refused: 'Waiting for a cluster to be brought up.' };
    }
    if (this.#sharesWhatComes(request, eligible)) {
      return { refused: 'Waiting for room: the clusters are full, and another one is being brought up first.' };
    }
    const requirements = withCeiling(needs.requirements, maxMicroUsdPerHour);
    const { rayVersion, isPart } = this.terms;
    const need = { wants: [node], rayVersion, tenantId, isPart };
    const offers = [...this.#machines.values()].filter(({ machine }) => machine.shared || machine.ownerId === tenantId);
    const now = fitting(offers.map(usedNow), requirements, need);
    if (!isRefusal(now)) return this.#newCluster(tenantId, node, now, []);
    const empties = offers.map(({ machine }) => ({ ...machine, used: empty }));
    const ever = fitting(empties, requirements, need);
    if (isRefusal(ever)) return { refused: `No machine can carry this job: ${ever.refused}` };
    const makesRoom = this.#makeRoom(request, offers, requirements, need);
    if (makesRoom === null) return { refused: `Waiting for a machine: ${now.refused}` };
    const onEmpty = fitting(
      empties.filter(({ nodeId }) => nodeId === makesRoom.nodeId),
      requirements,
      need,
    );
    if (isRefusal(onEmpty)) return { refused: `Waiting for a machine: ${now.refused}` };
    return this.#newCluster(tenantId, node, onEmpty, makesRoom.clusterIds);
  }

  /** Small jobs without wishes wait for the one cluster that is coming up, and share it. */
  #sharesWhatComes({ tenantId, needs }: JobRequest, eligible: ClusterDraft[]): boolean {
    if (needs.gpus > 0 || needs.requirements !== undefined) return false;
    return (
      eligible.some(({ cluster }) => cluster.origin === 'job' && cluster.phase !== 'ready') ||
      [...this.#coming.values()].some(one => one.tenantId === tenantId && one.use.cpus >= (needs.cpus ?? 1))
    );
  }

  #makeRoom(
    { tenantId, preempts }: JobRequest,
    offers: MachineDraft[],
    requirements: Requirements | undefined,
    need: Need,
  ) {
    const spared = suitableIfEmpty(
      offers.map(draft => ({ ...draft.machine, used: usedByStaying(draft) })),
      requirements,
      need,
    );
    const candidates = offers.flatMap(({ machine }) =>
      machine.occupants.flatMap((occupant): Candidate[] => {
        const { clusterId, use, ending, spareSinceMs, onlyForUrgent } = occupant;
        if (ending || spareSinceMs === null) return [];
        if ((onlyForUrgent || occupant.tenantId !== tenantId) && !preempts) return [];
        const draft = this.#clusters.get(clusterId);
        if (!draft?.isIdle) return [];
        return [{ clusterId, nodeId: machine.nodeId, use, idleSince: spareSinceMs }];
      }),
    );
    return makeRoom(need.wants, need.rayVersion, spared, candidates);
  }

  #newCluster(
    tenantId: TenantId,
    node: Want,
    { machine, use }: { machine: MachineFacts; use: Use },
    releases: ClusterId[],
  ): NewCluster {
    const microUsdPerHour = priceOf(machine.terms, node);
    return { kind: 'new', tenantId, nodeId: machine.nodeId, use, releases, microUsdPerHour };
  }

  take(holder: string, placement: JobPlacement): void {
    if (this.#held.has(holder)) throw new Error(`${holder} holds a placement already`);
    if (placement.kind === 'cluster') this.#clusters.get(placement.clusterId)?.take(holder, placement);
    else {
      const claimed = placement.releases.find(id => this.#clusters.get(id)?.isIdle === false);
      if (claimed) throw new Error(`${holder} cannot have cluster ${claimed} released: it is in use`);
      this.#holdNew(holder, placement);
      if (this.#machines.has(placement.nodeId)) this.#coming.set(holder, placement);
    }
    this.#held.set(holder, placement);
  }

  reserve(holder: string, placement: JobPlacement): void {
    if (placement.kind === 'cluster') this.#clusters.get(placement.clusterId)?.reserve(holder, placement);
    else this.#holdNew(holder, placement);
    this.#held.set(holder, placement);
  }

  #holdNew(holder: string, { nodeId, use, releases }: NewCluster): void {
    this.#machines.get(nodeId)?.held.set(holder, use);
    for (const id of releases) this.#clusters.get(id)?.claim(holder);
  }

  release(holder: string): void {
    const placement = this.#held.get(holder);
    if (!placement) return;
    this.#held.delete(holder);
    if (placement.kind === 'cluster') this.#clusters.get(placement.clusterId)?.release(holder);
    else {
      this.#coming.delete(holder);
      this.#machines.get(placement.nodeId)?.held.delete(holder);
      for (const id of placement.releases) this.#clusters.get(id)?.release(holder);
    }
  }

  touch(one: JobPlacement, other: JobPlacement): boolean {
    if (one.kind === 'cluster' && other.kind === 'cluster') return one.clusterId === other.clusterId;
    return this.#nodeOf(one) === this.#nodeOf(other);
  }

  #nodeOf(placement: JobPlacement): NodeId | undefined {
    return placement.kind === 'new' ? placement.nodeId : this.#machineOfCluster.get(placement.clusterId);
  }
}

/** Among the cells of one Mega-Ray cluster the one that has least to do. */
function placeOnCells(
  wanted: string,
  request: JobRequest,
  cells: readonly ClusterDraft[],
  maxMicroUsdPerHour: number | null,
): JobPlacement | GroundRefusal {
  const name = cells[0]?.cluster.mega?.name ?? wanted;
  const able = cells.filter(draft => draft.neverFits(request) === null);
  if (able.length === 0) {
    const lack = cells[0]?.neverFits(request);
    return { refused: `No cell of ${name} can ever run this job: ${lack}. Make its cells larger, or stop the job.` };
  }
  const isReady = (draft: ClusterDraft) => draft.cluster.phase === 'ready';
  const roomy = able.filter(draft => draft.noRoom(request) === null);
  const [chosen] = roomy
    .filter(draft => maxMicroUsdPerHour === null || draft.hold(request).microUsdPerHour <= maxMicroUsdPerHour)
    .sort(
      (one, other) =>
        Number(isReady(other)) - Number(isReady(one)) ||
        Number(one.cluster.saturated) - Number(other.cluster.saturated) ||
        one.load - other.load,
    );
  if (chosen) return chosen.hold(request);
  if (roomy.length > 0) return { refused: `The cells of ${name} that have room cost more than the job may.` };
  const ready = able.find(isReady);
  if (ready)
    return { refused: `Waiting for room on the cells of ${name}: on ${ready.cluster.name}, ${ready.noRoom(request)}.` };
  return { refused: `Waiting for the cells of ${name}: ${able[0]?.cluster.waitingFor}.` };
}

/** Accelerators: what comes with more of them comes for another job. */
const spare = ({ cluster }: ClusterDraft) => cluster.capacity.gpus;

const withHeld = (used: Use, { held }: MachineDraft): Use => [...held.values()].reduce(plus, used);

const usedNow = (draft: MachineDraft): JobMachine => ({
  ...draft.machine,
  used: withHeld(draft.machine.used, draft),
});

/** Less what is ending. */
function usedByStaying(draft: MachineDraft): Use {
  const staying = draft.machine.occupants.filter(({ ending }) => !ending).map(({ use }) => use);
  return withHeld(staying.reduce(plus, empty), draft);
}

/** The requirements with a price that is not to be passed, where there is one. Micro-USD per hour. */
export function withCeiling(requirements: Requirements | undefined, ceiling: number | null): Requirements | undefined {
  if (ceiling === null) return requirements;
  const own = requirements?.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY;
  return { ...requirements, maxMicroUsdPerHour: Math.min(own, ceiling) };
}

function fitting(
  offers: JobMachine[],
  requirements: Requirements | undefined,
  need: Need,
): { machine: JobMachine; use: Use } | GroundRefusal {
  const found = suitable(offers, requirements, need);
  if ('refused' in found) return found;
  const placement = placeTogether(need.wants, need.rayVersion, found.offers);
  if ('refused' in placement) return placement;
  const machine = offers.find(({ nodeId }) => nodeId === placement.nodeId);
  if (!machine) throw new Error(`${placement.nodeId} was not offered`);
  const [assignment] = placement.assignments;
  const cpus = need.wants.reduce((sum, want) => sum + want.cpus, 0);
  return {
    machine,
    use: { cpus, memoryBytes: assignment?.memoryBytes ?? 0, devices: assignment?.deviceIndices ?? [] },
  };
}
