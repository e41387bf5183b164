/** What the scheduler decides on, read in one transaction: what waits, what runs, and where there could be room. */
import type { JobId, Scheduling, TenantId } from '@iocloud/contracts';
import type { Clusters, ClusterView, RoomsAsked, TotalCapacity } from '../clusters/ports.js';
import {
  demandOf,
  type JobMemory,
  type JobScene,
  type Needs,
  type QueuedJob,
  type TenantTerms,
} from '../core/queueing/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import { readRunning } from './attempts/index.js';
import { nodeFor } from './needs.js';

/**
 * How many jobs of a tenant with the same needs, for each cluster that they name or for none, are looked at in one run.
 * By needs, so that any number of jobs that nothing can carry keeps nobody else from being seen.
 */
const windowSize = 200;
/** What all machines have together changes seldom, and shares need not follow it at once. */
const capacityLastsMs = 30_000;

export interface QueuedRow {
  id: JobId;
  tenant_id: TenantId;
  needs: Needs;
  scheduling: Scheduling;
  wanted_cluster: string | null;
  message: string;
  submitted_at: Date;
  spent_micro_usd: number;
  queue_memory: JobMemory | null;
}

export interface ReadScene extends JobScene {
  views: ReadonlyMap<ClusterView['id'], ClusterView>;
}

export interface SceneWiring {
  clusters: Clusters;
  /** Of those tenants whose terms are not the usual. */
  queueTermsOf(db: Queryable): Promise<TenantTerms[]>;
  now(): number;
}

export class SceneReader {
  #capacity: { at: number; total: TotalCapacity } | null = null;

  constructor(readonly wiring: SceneWiring) {}

  /** `queued`: rows of `readQueue`, and what else is to be thought of as waiting. */
  async read(tx: Transaction, queued: readonly QueuedJob[]): Promise<ReadScene> {
    const { clusters } = this.wiring;
    const views = await clusters.live(tx);
    const { running, others } = await readRunning(tx);
    // Prices and machines of clusters matter only to those who ask.
    const asks = queued.some(({ needs, scheduling }) => needs.requirements !== undefined || isPriced(scheduling));
    const ids = asks ? views.map(({ id }) => id) : [];
    const grounds = await clusters.groundsOf(tx, ids);
    return {
      queued,
      running,
      others,
      clusters: views.map(view => ({ ...view, ground: grounds.get(view.id) })),
      machines: null,
      tenants: await this.wiring.queueTermsOf(tx),
      capacity: demandOf(await this.#total(tx)),
      views: new Map(views.map(view => [view.id, view])),
    };
  }

  async #total(tx: Transaction): Promise<TotalCapacity> {
    const at = this.wiring.now();
    if (this.#capacity === null || at - this.#capacity.at > capacityLastsMs) {
      this.#capacity = { at, total: await this.wiring.clusters.capacity(tx) };
    }
    return this.#capacity.total;
  }
}

const isPriced = ({ budgetMicroUsd, cheapMicroUsdPerHour }: Scheduling) =>
  budgetMicroUsd !== null || cheapMicroUsdPerHour !== null;

/** So many of the queued are looked up among very many machines in one run; the next ones when these have gone or wait. */
const maxAsks = 1_000;
/** So many of those that may be stopped for others have their machines read. */
const maxStoppable = 500;
const cheapest = { price: 1, speed: 0, place: 0, reputation: 0 };

/** Which machines matter: for what waits, and those of what may have to go for it. */
export function roomsAsked({ queued, running }: JobScene, rayVersion: string): RoomsAsked {
  const asks = queued.flatMap(({ tenantId, node, needs, wantedCluster, scheduling }) => {
    if (wantedCluster !== null || 'impossible' in node) return [];
    const ask = { tenantId, wants: [node], rayVersion, requirements: needs.requirements };
    // What waits for a price needs to see the lowest.
    return isPriced(scheduling)
      ? [ask, { ...ask, requirements: { ...needs.requirements, preferences: cheapest } }]
      : [ask];
  });
  const kept = queued.flatMap(({ memory }) => memory?.cleared?.placement ?? []);
  const stoppable = running.filter(({ scheduling }) => scheduling.preemptible).slice(-maxStoppable);
  return {
    asks: asks.slice(0, maxAsks),
    clusterIds: stoppable.map(({ clusterId }) => clusterId),
    nodeIds: kept.flatMap(placement => (placement.kind === 'new' ? [placement.nodeId] : [])),
  };
}

/** Queued jobs that may go, in the queue's order, no more than a window of each kind. */
export async function readQueue(tx: Transaction): Promise<QueuedRow[]> {
  const { rows } = await tx.query<QueuedRow>({
    name: 'read-queue',
    text: `SELECT j.id, j.tenant_id, j.needs, j.scheduling, j.wanted_cluster, j.message, j.submitted_at,
             j.spent_micro_usd, j.queue_memory
           FROM (SELECT id, row_number() OVER (
                   PARTITION BY tenant_id, wanted_cluster, needs::text ORDER BY queue_at, id) AS place
                 FROM jobs WHERE phase = 'queued' AND NOT held AND not_before <= now()) q
           JOIN jobs j ON j.id = q.id WHERE q.place <= $1 ORDER BY j.queue_at, j.id`,
    values: [windowSize],
  });
  return rows;
}

export function toQueued(rows: readonly QueuedRow[]): QueuedJob[] {
  // Many jobs need the same, and to check what a node may be takes longer than all else here.
  const nodes = new Map<string, QueuedJob['node']>();
  return rows.map(row => {
    const kind = JSON.stringify(row.needs);
    const node = nodes.get(kind) ?? nodeWant(row.needs);
    nodes.set(kind, node);
    return {
      id: row.id,
      tenantId: row.tenant_id,
      needs: row.needs,
      wantedCluster: row.wanted_cluster,
      scheduling: row.scheduling,
      submittedAtMs: row.submitted_at.getTime(),
      node,
      spentMicroUsd: row.spent_micro_usd,
      memory: row.queue_memory,
    };
  });
}

/** The one Ray node of a cluster that is brought up for a job, or why there can be none. */
export function nodeWant(needs: Needs): QueuedJob['node'] {
  const node = nodeFor(needs);
  if (node.success) return { key: 'head/0', ...node.data };
  const [issue] = node.error.issues;
  return { impossible: `${issue?.path.join('.')}: ${issue?.message}` };
}
