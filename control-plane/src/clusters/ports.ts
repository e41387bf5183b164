/** What clusters offer to jobs, and what they need from them; main.ts joins the two. */
import type { Agent as HttpAgent } from 'node:http';
import type { Readable } from 'node:stream';
import type {
  CellHealth,
  CellSpread,
  ClusterId,
  ClusterPhase,
  Event,
  Explanation,
  LeaseId,
  MegaClusterId,
  NodeId,
  NodeResources,
  Requirements,
  TenantId,
} from '@iocloud/contracts';
import type { Ask, FleetNode } from '../core/matching/index.js';
import type { JobMachine } from '../core/queueing/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import type { Spending } from './ending.js';
import type { Eviction } from './facts.js';
import type { PlacedSpec } from './store.js';

export type { PlacedSpec } from './store.js';

/** What a cluster can carry in all: sums over the Ray nodes of its spec. */
export interface Capacity {
  cpus: number;
  gpus: number;
  memoryBytes: number;
  resources: Record<string, number>;
}

/** A live cluster (phase neither stopping, stopped, deleting nor deleted, and desired running), as dispatch sees it. */
export interface ClusterView {
  id: ClusterId;
  tenantId: TenantId;
  name: string;
  origin: 'user' | 'job';
  phase: Extract<ClusterPhase, 'pending' | 'provisioning' | 'ready'>;
  /** The head that would run the job; null until the cluster is ready. */
  headLeaseId: LeaseId | null;
  capacity: Capacity;
  /** What it carries with its autoscaled groups at their upper bounds; absent where it has none. */
  growsTo?: Capacity;
  /** What it is a cell of: jobs that name that may run here. */
  mega?: { id: MegaClusterId; name: string };
  /** By what its Ray reports, a job there would wait: something waits already, or next to all CPUs are held. */
  saturated: boolean;
  /** The share of its CPUs or accelerators that its Ray reports in use, whichever is more; absent: it has not said. */
  inUse?: number;
  /** Labels of each of its Ray nodes, for label selectors. */
  nodeLabels: Record<string, string>[];
  /** What it was brought up to meet. */
  requirements?: Requirements | undefined;
  /** Why it is not ready yet, in words for the job's message. */
  waitingFor: string;
}

/** What there is in all, of which shares are counted. */
export interface TotalCapacity {
  cpus: number;
  gpus: number;
  memoryBytes: number;
}

/** What jobs that wait ask of machines, and whose places may have to go for them. */
export interface RoomsAsked {
  asks: readonly Ask[];
  clusterIds: readonly ClusterId[];
  /** Of places that are being kept. */
  nodeIds: readonly NodeId[];
}

export interface Clusters {
  /** Live clusters of all tenants, or of one. One whose head has ended or cannot be reached is not `ready`. */
  live(db: Queryable, tenantId?: TenantId): Promise<ClusterView[]>;
  /** Those of these that are live, as they are now. None of them can begin to end before the transaction does. */
  hold(tx: Transaction, clusterIds: ClusterId[]): Promise<ClusterView[]>;
  /**
   * Provisions a cluster for a job that found no room: one head with at least `needs`, released after the idle time.
   * Returns the reason in words when no machine could carry it now; `ever` says whether any could if it were free, and
   * `isUnpaid` that only its tenant's money is missing.
   */
  provisionForJob(
    tx: Transaction,
    tenantId: TenantId,
    needs: NodeResources,
    /** `preempts`: idle clusters of other tenants, too, go for it where they stand on machines that are shared. */
    wish?: { requirements?: Requirements | undefined; preempts?: boolean },
  ): Promise<{ clusterId: ClusterId } | { refused: string; ever: boolean; isUnpaid?: boolean }>;
  /** Machines that take new work, of whomever, with what holds them: all, or of very many those that matter for this. */
  rooms(db: Queryable, asked: RoomsAsked): Promise<{ machines: JobMachine[]; isPart: boolean }>;
  /** Of all machines that take new work. */
  capacity(db: Queryable): Promise<TotalCapacity>;
  /** Dry run of a cluster for a job: one head with at least `needs`. */
  explainForJob(
    db: Queryable,
    tenantId: TenantId,
    needs: NodeResources,
    requirements: Requirements,
    /** Other tenants' idle clusters, too, go for it. */
    isUrgent?: boolean,
  ): Promise<Explanation>;
  /** What each of these clusters holds of its machine, to hold requirements against; absent while it has no machine. */
  groundsOf(db: Queryable, clusterIds: ClusterId[]): Promise<Map<ClusterId, FleetNode>>;
  /** The machine that this head runs or ran on; `failed`: it ended, by itself or with the machine, though it was to run. */
  machineOf(db: Queryable, headLeaseId: LeaseId): Promise<{ nodeId: NodeId; failed: boolean }>;
  /**
   * State of the head with this lease: `gone` once it has ended, `lost` once it counts as ended with its machine; both for
   * good. Only its agent, or a silence past the fence, says so: a head that does not answer is `ready` all the same.
   */
  headState(db: Queryable, headLeaseId: LeaseId): Promise<'ready' | 'unreachable' | 'gone' | 'lost'>;
  /**
   * HTTP to the cluster's head through its machine's tunnel: use with node:http's request({agent, host, path, …}); the
   * headers carry the cluster's Ray token. Throws HeadUnavailable.
   */
  head(clusterId: ClusterId): Promise<{ agent: HttpAgent; host: string; headers: Record<string, string> }>;
  /**
   * The driver log of a Ray job from a byte offset, wherever in the cluster it is kept, readable even when the head is
   * dead. With `follow` it goes on until destroyed; without, it ends at the end. Throws HeadUnavailable; 'not-found' when
   * there is no such log (without `follow`).
   */
  jobLog(clusterId: ClusterId, raySubmissionId: string, fromByte: number, follow: boolean): Promise<Readable>;
}

/** A cell as its Mega-Ray cluster sees it. */
export interface CellView extends Spending {
  name: string;
  phase: ClusterPhase;
  health: CellHealth;
  /** Why it is not ready. */
  message: string;
  /** Attempts that live there. */
  jobs: number;
  /** On a machine, and yet its head is not up since then; null: it is, or it waits for a machine. */
  failingSince: Date | null;
  dashboardPath: string;
}

/** What clusters offer to Mega-Ray clusters, which are made of them. */
export interface Cells {
  /** Throws Failure where no machine of the tenant could ever carry one. */
  check(tx: Transaction, tenantId: TenantId, spec: PlacedSpec): Promise<void>;
  /** Throws Failure 'already-exists' when a live cluster has the name. */
  create(
    tx: Transaction,
    cell: {
      tenantId: TenantId;
      spec: PlacedSpec;
      mega: { id: MegaClusterId; name: string };
      spread: CellSpread | null;
    },
  ): Promise<ClusterId>;
  read(db: Queryable, tenantId: TenantId, ids: ClusterId[]): Promise<Map<ClusterId, CellView>>;
  /** No job is given to it any more, and those that run there are asked to move. `reason` goes on from its name. */
  retire(tx: Transaction, tenantId: TenantId, id: ClusterId, why: { reason: string; deadline: Date }): Promise<void>;
  remove(tx: Transaction, tenantId: TenantId, id: ClusterId): Promise<void>;
}

export class HeadUnavailable extends Error {
  constructor(
    readonly code: 'offline' | 'not-ready' | 'not-found' | 'gone',
    message: string,
  ) {
    super(message);
  }
}

/** What clusters need of jobs: is anything running there, since when is nothing? */
export interface ClusterActivity {
  /** Live attempts and the end of the last one (null: none yet), for each cluster named. */
  of(db: Queryable, clusterIds: ClusterId[]): Promise<Map<ClusterId, { live: number; lastEndedAt: Date | null }>>;
  /** Its machine shall be left, or it is to be stopped: its attempts are asked to end and go back into the queue. May be said again and again. */
  evict(tx: Transaction, clusterId: ClusterId, eviction: Eviction): Promise<void>;
  /** Its head has ended or is lost: its attempts are looked at, at once. */
  headLost(tx: Transaction, clusterId: ClusterId): Promise<void>;
  /** What its machine is in is told to the jobs that run there. */
  tell(tx: Transaction, clusterIds: ClusterId[], news: Pick<Event, 'reason' | 'message' | 'severity'>): Promise<void>;
}
