/** HTTP to a cluster's head, and job logs, through its machine's tunnel. */
import { Agent } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import type { ClusterId, LeaseId, NodeId, StreamRequest } from '@iocloud/contracts';
import { type Machines, StreamRefused } from '../inventory/index.js';
import { inOrderOf, type Logger, lookUp, type Queryable, type Seal } from '../platform/index.js';
import { firstToSpeak } from './first-to-speak.js';
import { type Clusters, HeadUnavailable } from './ports.js';
import { asSocket } from './stream-socket.js';

/** Per head. One more request waits for a free one. */
const maxSockets = 32;
const maxFreeSockets = 8;
/** Ray's head closes idle connections after 75 s; ours go first, so that no request meets a closing one. */
const freeSocketTimeoutMs = 30_000;
/** What the head is addressed as: it sees its own loopback address. */
const headHost = '127.0.0.1';

/** An HTTP agent whose connections are streams through the agent of the head's machine. */
class HeadAgent extends Agent {
  constructor(readonly open: () => Promise<Duplex>) {
    super({ keepAlive: true, maxSockets, maxFreeSockets, timeout: freeSocketTimeoutMs, scheduling: 'lifo' });
  }

  override createConnection(_options: unknown, callback?: (error: Error | null, stream: Duplex) => void): undefined {
    this.open().then(
      stream => callback?.(null, asSocket(stream)),
      (error: Error) => callback?.(error, undefined as unknown as Duplex),
    );
  }
}

interface Pool {
  clusterId: ClusterId;
  agent: HeadAgent;
  token: string;
}

interface HeadRow {
  cluster_id: ClusterId;
  lease_id: LeaseId;
  node_id: NodeId;
  phase: string;
  message: string;
  sealed_token: Buffer;
}

/** The head, or whatever of the cluster is left. */
const headRow = lookUp<ClusterId, HeadRow>(async (db, clusterIds) => {
  const { rows } = await db.query<HeadRow>({
    name: 'cluster-heads',
    text: `SELECT DISTINCT ON (l.cluster_id) l.cluster_id, l.id AS lease_id, l.node_id,
             CASE WHEN l.role = 'head' AND l.desired THEN l.phase ELSE 'exited' END AS phase, l.message, c.sealed_token
           FROM leases l JOIN clusters c ON c.id = l.cluster_id
           WHERE l.cluster_id = ANY($1) AND l.released_at IS NULL
           ORDER BY l.cluster_id, l.role = 'head' DESC, l.id`,
    values: [clusterIds],
  });
  return inOrderOf(clusterIds, rows, row => row.cluster_id);
});

export class Heads {
  /** By the head's lease: a new head is a new pool. */
  readonly #pools = new Map<LeaseId, Pool>();

  constructor(
    readonly database: Queryable,
    readonly machines: Machines,
    readonly seal: Seal,
    readonly log: Logger,
  ) {}

  readonly head: Clusters['head'] = async clusterId => {
    const row = await this.#readyHead(clusterId);
    let pool = this.#pools.get(row.lease_id);
    if (!pool) {
      pool = {
        clusterId,
        agent: new HeadAgent(() => this.#open(row.node_id, { kind: 'dashboard', leaseId: row.lease_id })),
        token: this.seal.open(row.sealed_token, clusterId),
      };
      this.close(clusterId);
      this.#pools.set(row.lease_id, pool);
    }
    return { agent: pool.agent, host: headHost, headers: { Authorization: `Bearer ${pool.token}` } };
  };

  /** A connection to the head's GCS, and what a gRPC call there must carry. Throws HeadUnavailable. */
  async gcs(clusterId: ClusterId): Promise<{ stream: Duplex; headers: Record<string, string> }> {
    const row = await this.#readyHead(clusterId);
    const stream = await this.#open(row.node_id, { kind: 'gcs', leaseId: row.lease_id });
    return { stream, headers: { authorization: `Bearer ${this.seal.open(row.sealed_token, clusterId)}` } };
  }

  readonly jobLog: Clusters['jobLog'] = async (clusterId, submissionId, fromByte, follow): Promise<Readable> => {
    const nodeIds = await this.#machinesOf(clusterId);
    if (nodeIds.length === 0) throw new HeadUnavailable('gone', `nothing of cluster ${clusterId} runs any more`);
    const request = { kind: 'job-log', clusterId, submissionId, fromByte, follow } as const;
    const opened = await Promise.allSettled(nodeIds.map(nodeId => this.#open(nodeId, request)));
    const streams = opened.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []));
    const refusal = opened.find(one => one.status === 'rejected')?.reason;
    // Without `follow` only the machine answers that has the log. With it all do, and one will have something to say: if one
    // cannot be asked it may be that one.
    if (streams.length === 0 || (follow && refusal)) {
      for (const stream of streams) stream.destroy();
      throw refusal;
    }
    return firstToSpeak(streams);
  };

  /** That of the head first. A driver runs there, or on any machine of the cluster where its job asks for resources. */
  async #machinesOf(clusterId: ClusterId): Promise<NodeId[]> {
    const { rows } = await this.database.query<{ node_id: NodeId }>({
      name: 'machines-of-cluster',
      text: `SELECT node_id FROM leases WHERE cluster_id = $1 AND released_at IS NULL
             GROUP BY node_id ORDER BY min(role), node_id`,
      values: [clusterId],
    });
    return rows.map(row => row.node_id);
  }

  async #readyHead(clusterId: ClusterId): Promise<HeadRow> {
    const row = await headRow(this.database, clusterId);
    if (!row) throw new HeadUnavailable('gone', `cluster ${clusterId} has no head now`);
    if (row.phase === 'exited') throw new HeadUnavailable('gone', `the head has ended: ${row.message}`);
    if (row.phase !== 'ready') throw new HeadUnavailable('not-ready', 'the head is starting');
    return row;
  }

  async #open(nodeId: NodeId, request: StreamRequest): Promise<Duplex> {
    try {
      return await this.machines.openStream(nodeId, request);
    } catch (error) {
      if (!(error instanceof StreamRefused)) throw error;
      const code = error.code === 'not-found' || error.code === 'not-ready' ? error.code : 'offline';
      throw new HeadUnavailable(code, error.message);
    }
  }

  /** Ends the connections to a cluster's head: it has gone. */
  close(clusterId: ClusterId): void {
    for (const [leaseId, pool] of this.#pools) {
      if (pool.clusterId !== clusterId) continue;
      pool.agent.destroy();
      this.#pools.delete(leaseId);
    }
  }

  stop(): void {
    for (const pool of this.#pools.values()) pool.agent.destroy();
    this.#pools.clear();
  }
}
