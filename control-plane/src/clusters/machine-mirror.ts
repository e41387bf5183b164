/**
 * This process's index of all machines, kept in step with PostgreSQL by what has changed since it last looked, and the few
 * machines that a decision has to read because of it.
 */
import type { ClusterId, NodeId, TenantId } from '@iocloud/contracts';
import { type Ask, empty, MachineIndex, type Use } from '../core/matching/index.js';
import type { Machines } from '../inventory/index.js';
import type { Queryable } from '../platform/index.js';

/** All of so few are read: exact, and cheap enough. */
const fewMachines = 200;
/** For what finds no room: so many machines that would carry it if nothing ran there. */
const spareMachines = 64;
/** Machines read again in each look though nobody said that they changed: reputations fade with time alone. */
const refreshed = 32;
const readAtOnce = 2_000;
/** After a longer pause rows of `machine_changes` may be gone, and all machines are read anew. Milliseconds. */
const changesLastMs = 3_600_000;

export interface MirrorWiring {
  machines: Pick<Machines, 'read'>;
  /** What is taken on each of these machines. */
  leased(db: Queryable, nodeIds: NodeId[]): Promise<Map<NodeId, Use>>;
  /** With no more machines than these, all are read for each decision. */
  fewMachines?: number | undefined;
}

export class MachineMirror {
  readonly #index = new MachineIndex();
  /** All transactions below it were over when it last looked. Null: it has not looked yet. */
  #seenXid: string | null = null;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #prunedAtMs = performance.now();
  /** Read by a transaction that had changed them itself: it may be rolled back, and nobody would say so. */
  #doubtful = new Set<NodeId>();
  /** One look at a time. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(readonly wiring: MirrorWiring) {}

  /**
   * The machines to be read for a decision on these asks, in `db`'s view of the world: the best for each (see
   * `MachineIndex.choose`). Null: all, for there are few.
   */
  choose(db: Queryable, asks: readonly Ask[]): Promise<NodeId[] | null> {
    const answer = this.#queue.then(async () => {
      await this.#look(db);
      if (this.#index.size <= (this.wiring.fewMachines ?? fewMachines)) return null;
      return [...this.#index.choose(asks, spareMachines)];
    });
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  /** O(machines that changed · log n); the first time, all of them. */
  async #look(db: Queryable): Promise<void> {
    const isNew = this.#seenXid === null || performance.now() - this.#lookedAtMs > changesLastMs / 2;
    const { rows } = await db.query<{ xmin: string; ids: NodeId[] | null; own: NodeId[] | null }>({
      name: 'machine-changes',
      text: `SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin, array_agg(DISTINCT node_id) AS ids,
               array_agg(DISTINCT node_id) FILTER (WHERE xid = pg_current_xact_id_if_assigned()) AS own
             FROM (SELECT node_id, xid FROM machine_changes WHERE NOT $2 AND xid >= $1::xid8
               UNION ALL SELECT id, '0'::xid8 FROM nodes WHERE $2 AND removed_at IS NULL) changed`,
      values: [this.#seenXid ?? '0', isNew],
    });
    const { xmin, ids, own } = rows[0] ?? { xmin: '0', ids: null, own: null };
    const stale = [...this.#doubtful, ...this.#index.oldest(refreshed)];
    const gone = isNew ? this.#index.oldest(this.#index.size) : [];
    for (const id of own ?? []) this.#doubtful.add(id);
    await this.#read(db, [...new Set([...(ids ?? []), ...stale, ...gone])]);
    this.#doubtful = new Set(own);
    this.#seenXid = xmin;
    this.#lookedAtMs = performance.now();
    if (this.#lookedAtMs - this.#prunedAtMs > changesLastMs / 6) await this.#prune(db);
  }

  async #read(db: Queryable, ids: NodeId[]): Promise<void> {
    for (let from = 0; from < ids.length; from += readAtOnce) {
      const some = ids.slice(from, from + readAtOnce);
      const found = new Map((await this.wiring.machines.read(db, some)).map(machine => [machine.nodeId, machine]));
      const taken = await this.wiring.leased(db, [...found.keys()]);
      for (const id of some) {
        const machine = found.get(id);
        if (machine) this.#index.put({ ...machine, used: taken.get(id) ?? empty });
        else this.#index.remove(id);
      }
    }
  }

  async #prune(db: Queryable): Promise<void> {
    await db.query(
      `DELETE FROM machine_changes WHERE changed_at < now() - make_interval(secs => $1)
         AND xid < pg_snapshot_xmin(pg_current_snapshot())`,
      [changesLastMs / 1000],
    );
    this.#prunedAtMs = performance.now();
  }
}

/** Of these clusters, and of idle ones that jobs brought up or that are preemptible (of one tenant, or of any): something may end there to make room. */
export async function machinesThatMayEmpty(
  db: Queryable,
  clusterIds: readonly ClusterId[],
  tenantId: TenantId | null,
): Promise<NodeId[]> {
  const { rows } = await db.query<{ node_id: NodeId }>(
    `(SELECT DISTINCT node_id FROM leases WHERE cluster_id = ANY($1) AND released_at IS NULL)
     UNION (SELECT l.node_id FROM clusters c JOIN leases l ON l.cluster_id = c.id AND l.released_at IS NULL
       WHERE (c.origin = 'job' OR c.spec->>'preemptible' = 'true') AND c.phase = 'ready' AND c.desired = 'running' AND c.idle_since IS NOT NULL
         AND ($2::text IS NULL OR c.tenant_id = $2)
       ORDER BY c.idle_since LIMIT $3)`,
    [clusterIds, tenantId, 4 * spareMachines],
  );
  return rows.map(row => row.node_id);
}
