/** What the reconcile function knows of one cluster, and what it answers. */
import type {
  ClusterId,
  ClusterPhase,
  ClusterSpec,
  Condition,
  Event,
  LeaseId,
  LeasePhase,
  NodeId,
  Requirements,
  TenantId,
} from '@iocloud/contracts';
import type { Offer } from '../core/matching/index.js';
import type { Machine } from '../inventory/ports.js';
import type { Seats } from '../mesh/index.js';
import type { PriceBasis } from '../pricing/ports.js';
import type { End, Spending } from './ending.js';

export const headGroup = 'head';

/** One Ray node of the spec: where in the cluster it stands and what it needs. */
export interface Place {
  role: 'head' | 'worker';
  group: string;
  ordinal: number;
  needs: Pick<ClusterSpec['head'], 'cpus' | 'gpus' | 'memoryBytes' | 'accelerator' | 'resources' | 'labels'>;
}

export const placeKey = (place: Pick<Place, 'group' | 'ordinal'>): string => `${place.group}/${place.ordinal}`;

/** An unreleased lease. */
export interface LeaseFacts {
  id: LeaseId;
  nodeId: NodeId;
  role: 'head' | 'worker';
  group: string;
  ordinal: number;
  phase: LeasePhase;
  message: string;
  desired: boolean;
  nodeIp: string;
  readyAt: Date | null;
  exitedAt: Date | null;
}

export interface Retry {
  failures: number;
  retryAt: string;
}
/** By place key. */
export type Retries = Record<string, Retry>;

export interface ClusterFacts {
  id: ClusterId;
  tenantId: TenantId;
  name: string;
  origin: 'user' | 'job';
  desired: 'running' | 'stopped' | 'deleted';
  phase: ClusterPhase;
  generation: number;
  rayVersion: string;
  requirements: Requirements | undefined;
  places: Place[];
  idleTimeoutSeconds: number | null;
  budgetMicroUsd: number | null;
  spending: Spending;
  /** Why what was to be started is not paid for; null: it is, or has not been asked yet. */
  uncovered: string | null;
  /** When it must have been stopped; null: never, as things are. */
  end: End | null;
  conditions: Condition[];
  retries: Retries;
  createdAt: Date;
  readyAt: Date | null;
  directBusyAt: Date | null;
  leases: LeaseFacts[];
  /** The machines of its network; none while all of it is on one machine. */
  seats: Seats;
  /** Nodes that have been silent for too long. */
  silentNodes: ReadonlySet<NodeId>;
  /** Nodes that shall be left, with the time at which what is still there is ended. */
  drainingNodes: ReadonlyMap<NodeId, Drain>;
  activity: { live: number; lastEndedAt: Date | null };
  /** The head was asked, after the idle time was over, and runs nothing. */
  idleConfirmed: boolean;
}

export interface Drain {
  name: string;
  reason: string;
  deadline: Date;
}

export interface Eviction {
  cause: 'drained' | 'clusterOver';
  /** A sentence that the owners of its jobs read. */
  reason: string;
  deadline: Date;
}

/** A lease to be made. */
export interface NewLease {
  place: Place;
  nodeId: NodeId;
  nodeIp: string;
  headIp: string;
  memoryBytes: number;
  deviceIndices: number[];
  simulated: boolean;
  microUsdPerHour: number;
  /** What that was made of. */
  priceBasis: PriceBasis | null;
  /** On a machine of its own tenant, which costs it nothing. */
  isOwn: boolean;
  /** Of its accelerators and its place, by Ray's own keys. */
  rayLabels: Record<string, string>;
}

export interface Line {
  reason: string;
  message: string;
  severity: Event['severity'];
}

/** All that is to be written. Applied in one transaction, or not at all. */
export interface Plan {
  desired: ClusterFacts['desired'];
  phase: ClusterPhase;
  conditions: Condition[];
  retries: Retries;
  readyAt: Date | null;
  idleSince: Date | null;
  lookAt: Date | null;
  /** Leases to be ended: their agents are told, and confirm before anything of them is free. */
  end: LeaseId[];
  /** Leases of silent machines: released without confirmation. */
  lose: LeaseId[];
  start: NewLease[];
  /** Which machines belong to its network from now on. */
  seats: ReadonlyMap<NodeId, number>;
  /** What did not fit, with the reason; idle clusters may make room for it. */
  refused: { places: Place[]; nodeId: NodeId | null; message: string; isForMoney: boolean } | null;
  /** The idle time is over: ask the head, which may run jobs that came past us. */
  askIdle: boolean;
  /** Its machine is to be left, or it will be stopped: its jobs are asked to move. */
  evict: Eviction | null;
  /** Its head has ended or is lost. */
  headLost: boolean;
  tellWorkers: boolean;
  wakeDispatch: boolean;
  lines: Line[];
}

/** The machines that may be used, with what is taken on them. */
export type Offers = (Offer & Machine)[];

/** What is known of machines where something is to be placed. */
export interface Ground {
  /** Those of which one may carry all that is wanted, with what its requirements accept; none where none will do. */
  offers: Offers;
  /** All, as they are. */
  all: Offers;
  /** Why there are no offers. */
  unsuitable: string | null;
}
