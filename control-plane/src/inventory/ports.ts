/** What inventory offers to clusters, and what it needs from them; main.ts joins the two. */
import type { Duplex } from 'node:stream';
import type {
  Event,
  Inventory,
  Isolation,
  LeaseId,
  LeaseObservation,
  LeaseSpec,
  NodeId,
  NodeLoad,
  StreamRequest,
  TenantId,
} from '@iocloud/contracts';
import type { Evidence, MachineFacts } from '../core/matching/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import type { PriceBasis } from '../pricing/ports.js';

/** A machine that has said what it is, with all that it offers (leased or not). */
export interface Machine extends MachineFacts {
  name: string;
  /** What its terms' prices are made of. */
  priceBasis: PriceBasis;
  isolation: Isolation;
  isolationReason: string;
  /** Whether it can carry a part of a cluster that stands on several machines, and by what or why not. */
  mesh: { able: boolean; reason: string };
  /** Machines of one network reach each other without a network of ours; null: it is in none. */
  network: string | null;
}

/** The stream could not be opened: the machine is not connected, or its agent said no. `message` says why. */
export class StreamRefused extends Error {
  constructor(
    readonly code: 'offline' | 'not-found' | 'not-ready' | 'bad-request' | 'internal',
    message: string,
  ) {
    super(message);
  }
}

export interface Draining {
  name: string;
  reason: string;
  deadline: Date;
}

export interface Machines {
  /** Online machines that the tenant owns or that their owners share; of all owners, for null. */
  available(db: Queryable, tenantId: TenantId | null): Promise<Machine[]>;
  /** Sums over all online machines. */
  capacity(db: Queryable): Promise<{ cpus: number; gpus: number; memoryBytes: number }>;
  /** All machines that the tenant owns or that their owners share, online or not. */
  enrolled(db: Queryable, tenantId: TenantId): Promise<Machine[]>;
  /** These machines, less those that were removed or that have never connected. */
  read(db: Queryable, nodeIds: NodeId[]): Promise<Machine[]>;
  /**
   * To be called in the transaction that changes what a node shall run: returns the node's new desired revision and
   * wakes whoever holds its agent's connection.
   */
  changeDesired(tx: Transaction, nodeId: NodeId): Promise<number>;
  /** Nodes that have been silent for at least so long, on record and as far as this process hears, or that were removed. */
  silentSince(db: Queryable, seconds: number): Promise<NodeId[]>;
  /** Those of them whose Ray nodes have ended for certain: one whose agent changes its release has a longer fence. */
  lostSince(db: Queryable, seconds: number): Promise<NodeId[]>;
  /** Nodes that take no new work, drained ones included, with the time at which what is still there is ended. */
  draining(db: Queryable): Promise<ReadonlyMap<NodeId, Draining>>;
  /** Opens a stream to the node's agent. Throws StreamRefused. */
  openStream(nodeId: NodeId, request: StreamRequest): Promise<Duplex>;
}

/** Runs the leases of machines that no agent runs, such as nodes of a Kubernetes cluster. */
export interface Attendant {
  /** What a machine, whosever it is, shall run has changed. */
  changed(nodeId: NodeId): void;
  /** As `Machines.openStream`; null: the machine is none of its own. */
  openStream(nodeId: NodeId, request: StreamRequest): Promise<Duplex | null>;
}

/** What such machines have in place of an agent's connection. */
export interface Attended {
  /** They are online, as what they are now. */
  arrived(machines: { nodeId: NodeId; inventory: Inventory }[]): Promise<void>;
  /** They have been seen alive just now. */
  heard(nodeIds: NodeId[]): Promise<void>;
  desired(nodeId: NodeId): ReturnType<LeaseBook['desired']>;
  /** Leases on these machines that shall not run any more and hold their place until that is so. */
  ending(nodeIds: NodeId[]): Promise<{ leaseId: LeaseId; nodeId: NodeId }[]>;
  observed(nodeId: NodeId, revision: number, leases: LeaseObservation[]): Promise<void>;
}

/** What inventory needs of the leases' owner. */
export interface LeaseBook {
  /** All leases that the node shall run, with the revision that they amount to; read in one snapshot. */
  desired(nodeId: NodeId): Promise<{ revision: number; leases: LeaseSpec[] }>;
  /**
   * What the agent sees. A lease that is no longer desired, and that is absent from an observation whose revision is not
   * older than the change, has ended for certain and is released.
   */
  observed(nodeId: NodeId, revision: number, leases: LeaseObservation[]): Promise<void>;
  /** Leases on these nodes that are not desired any more and have not been released. */
  ending(nodeIds: NodeId[]): Promise<{ leaseId: LeaseId; nodeId: NodeId }[]>;
  /** What is leased on each node and what of it is in use, for show. */
  leased(
    db: Queryable,
    nodeIds: NodeId[],
  ): Promise<Map<NodeId, { cpus: number; memoryBytes: number; devices: number[]; load: NodeLoad }>>;
  /** The node is to be left: its clusters are looked at, and go. */
  leave(tx: Transaction, nodeId: NodeId): Promise<void>;
  /** Tells those whose clusters or jobs are there what has become of the node. */
  tellOfMachine(tx: Transaction, nodeId: NodeId, news: Pick<Event, 'reason' | 'message' | 'severity'>): Promise<void>;
  /** A machine takes work again: clusters that wait for room look again. */
  roomCame(tx: Transaction): Promise<void>;
  /** No lease holds anything of the node any more. */
  isEmpty(db: Queryable, nodeId: NodeId): Promise<boolean>;
}

/** How far machines can be relied on: what jobs and clusters tell of them. */
export interface Reputation {
  /**
   * Notes, in the transaction in which it happens, what is to count for the machine and for its supplier; see
   * core/matching/reputation.ts. Waits for nobody.
   */
  record(tx: Transaction, nodeId: NodeId, renter: TenantId, evidence: Evidence, happenedAt: Date): Promise<void>;
}
