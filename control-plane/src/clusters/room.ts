/** What the machines offer and what of it is taken; and making room by releasing idle clusters that jobs brought up. */
import type { ClusterId, NodeId, TenantId } from '@iocloud/contracts';
import { type Ask, type Candidate, makeRoom, type Use, type Want } from '../core/matching/index.js';
import type { JobMachine } from '../core/queueing/index.js';
import { recordEvent } from '../events/index.js';
import type { Machines } from '../inventory/index.js';
import { type Queryable, type Transaction, wake } from '../platform/index.js';
import { type Apart, makeRoomApart } from './apart.js';
import type { Offers } from './facts.js';
import { type MachineMirror, machinesThatMayEmpty } from './machine-mirror.js';
import type { ClusterActivity, RoomsAsked } from './ports.js';

/** Any constant will do, as long as every replica takes the same. */
const placementLock = 7_265_003;

/** Until the transaction ends nobody else places anything: what looks free stays free. */
export async function lockPlacement(tx: Transaction): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [placementLock]);
}

interface UseRow {
  node_id: NodeId;
  cluster_id: ClusterId;
  tenant_id: TenantId;
  ending: boolean;
  cpus: number;
  memory_bytes: number;
  devices: number[];
}

/** What each cluster holds on each of the nodes. */
async function uses(db: Queryable, nodeIds: NodeId[]): Promise<UseRow[]> {
  const { rows } = await db.query<UseRow>(
    `SELECT l.node_id, l.cluster_id, l.tenant_id, NOT l.desired AS ending, sum(l.cpus)::float8 AS cpus,
       sum(l.memory_bytes)::bigint AS memory_bytes,
       coalesce((SELECT array_agg(d.device_index ORDER BY d.device_index) FROM lease_devices d JOIN leases o
         ON o.id = d.lease_id WHERE o.node_id = l.node_id AND o.cluster_id = l.cluster_id
         AND o.desired = l.desired AND NOT d.released), '{}') AS devices
     FROM leases l WHERE l.node_id = ANY($1) AND l.released_at IS NULL
     GROUP BY l.node_id, l.cluster_id, l.tenant_id, l.desired ORDER BY l.node_id, l.cluster_id`,
    [nodeIds],
  );
  return rows;
}

const add = (a: Use, b: Use): Use => ({
  cpus: a.cpus + b.cpus,
  memoryBytes: a.memoryBytes + b.memoryBytes,
  devices: [...a.devices, ...b.devices],
});
const useOf = (row: UseRow): Use => ({ cpus: row.cpus, memoryBytes: row.memory_bytes, devices: row.devices });
const nothing: Use = { cpus: 0, memoryBytes: 0, devices: [] };

/** What is taken on each node, for show and for placement. */
export async function leased(db: Queryable, nodeIds: NodeId[]): Promise<Map<NodeId, Use>> {
  const taken = new Map<NodeId, Use>(nodeIds.map(id => [id, nothing]));
  for (const row of await uses(db, nodeIds)) taken.set(row.node_id, add(taken.get(row.node_id) ?? nothing, useOf(row)));
  return taken;
}

/** The same, less the idle clusters that would go for a need of the tenant's. Locks nothing. */
export async function leasedIfIdleGo(
  db: Queryable,
  activity: ClusterActivity,
  nodeIds: NodeId[],
  { tenantId, isUrgent, now }: { tenantId: TenantId | null; isUrgent: boolean; now: Date },
): Promise<Map<NodeId, Use>> {
  const rows = await uses(db, nodeIds);
  const ids = [...new Set(rows.map(row => row.cluster_id))];
  const [spare, active] = [await spareClusters(db, ids, now), await activity.of(db, ids)];
  const goes = ({ cluster_id: id, tenant_id: owner, ending }: UseRow) => {
    const found = spare.get(id);
    const may = found && (isUrgent || !found.onlyForUrgent) && (tenantId === null || owner === tenantId);
    return ending || (may && (active.get(id)?.live ?? 0) === 0);
  };
  const taken = new Map<NodeId, Use>(nodeIds.map(id => [id, nothing]));
  for (const row of rows) if (!goes(row)) taken.set(row.node_id, add(taken.get(row.node_id) ?? nothing, useOf(row)));
  return taken;
}

/** Where it is to be looked, and for what. */
export interface Search {
  machines: Machines;
  mirror: MachineMirror;
}

/** Machines of the tenant, and shared ones, that take new work: all, or of very many those that matter for `asks`, and `also`. */
export async function loadOffers(
  db: Queryable,
  { machines, mirror }: Search,
  tenantId: TenantId,
  asks: readonly Omit<Ask, 'tenantId'>[],
  also: readonly NodeId[] = [],
): Promise<{ offers: Offers; isPart: boolean }> {
  const chosen = await mirror.choose(
    db,
    asks.map(ask => ({ ...ask, tenantId })),
  );
  const read = async (ids: NodeId[]) => {
    const some = await machines.read(db, [
      ...new Set([...ids, ...also, ...(await machinesThatMayEmpty(db, [], null))]),
    ]);
    return some.filter(({ schedulable, shared, ownerId }) => schedulable && (shared || ownerId === tenantId));
  };
  const available = await (chosen === null ? machines.available(db, tenantId) : read(chosen));
  const taken = await leased(
    db,
    available.map(machine => machine.nodeId),
  );
  const offers = available.map(machine => ({ ...machine, used: taken.get(machine.nodeId) ?? nothing }));
  return { offers, isPart: chosen !== null };
}

/**
 * Machines that take new work, with what each cluster holds of them and whether it could be released: all, or of very many
 * those that matter for what is asked.
 */
export async function rooms(
  db: Queryable,
  { machines, mirror }: Search,
  { asks, clusterIds, nodeIds }: RoomsAsked,
  now: Date,
): Promise<{ machines: JobMachine[]; isPart: boolean }> {
  const chosen = await mirror.choose(db, asks);
  const read = async (ids: NodeId[]) => {
    const more = await machinesThatMayEmpty(db, clusterIds, null);
    return (await machines.read(db, [...new Set([...ids, ...nodeIds, ...more])])).filter(one => one.schedulable);
  };
  const available = await (chosen === null ? machines.available(db, null) : read(chosen));
  const ids = available.map(({ nodeId }) => nodeId);
  const rows = await uses(db, ids);
  const spare = await spareClusters(db, [...new Set(rows.map(row => row.cluster_id))], now);
  const byNode = new Map<NodeId, UseRow[]>();
  for (const row of rows) byNode.set(row.node_id, [...(byNode.get(row.node_id) ?? []), row]);
  const offered = available.map(machine => {
    const here = byNode.get(machine.nodeId) ?? [];
    return {
      ...machine,
      used: here.map(useOf).reduce(add, nothing),
      occupants: here.map(row => ({
        clusterId: row.cluster_id,
        tenantId: row.tenant_id,
        use: useOf(row),
        ending: row.ending,
        spareSinceMs: spare.get(row.cluster_id)?.sinceMs ?? null,
        onlyForUrgent: spare.get(row.cluster_id)?.onlyForUrgent ?? false,
      })),
    };
  });
  return { machines: offered, isPart: chosen !== null };
}

/** Those that `idleClusters` would take if no job ran there, since when. Locks nothing. */
async function spareClusters(
  db: Queryable,
  among: ClusterId[],
  now: Date,
): Promise<Map<ClusterId, { sinceMs: number; onlyForUrgent: boolean }>> {
  const { rows } = await db.query<{ id: ClusterId; since: Date; only_urgent: boolean }>(
    `SELECT id, coalesce(idle_since, $3) AS since, origin = 'user' AS only_urgent FROM clusters c
     WHERE id = ANY($1) AND ${couldGo}
       AND (ready_at <= now() - make_interval(secs => $2)
         OR EXISTS (SELECT 1 FROM ray_submission_ids r WHERE r.cluster_id = c.id))`,
    [among, freshSeconds, now],
  );
  return new Map(rows.map(row => [row.id, { sinceMs: row.since.getTime(), onlyForUrgent: row.only_urgent }]));
}

interface IdleRow {
  id: ClusterId;
  name: string;
  origin: 'user' | 'job';
  tenant_id: TenantId;
  idle_since: Date;
}

/**
 * Marks idle clusters that jobs brought up as deleted, and for urgent needs preemptible ones of users as stopped, so that
 * `wants` will fit once they have ended: the least recently used first, and no more than are needed. True when there will
 * be room, whether or not anything had to go for it.
 */
export async function releaseIdle(
  tx: Transaction,
  activity: ClusterActivity,
  offers: Offers,
  need: {
    wants: Want[];
    rayVersion: string;
    forWhom: string;
    tenantId: TenantId | null;
    isUrgent: boolean;
    /** On several of these machines, where there can be no room on one. */
    apart?: { need: Apart; machines: Offers };
  },
): Promise<boolean> {
  const nodeIds = new Set([...offers, ...(need.apart?.machines ?? [])].map(offer => offer.nodeId));
  const rows = await uses(tx, [...nodeIds]);
  // What is ending is as good as free: nothing more need go for what it will give.
  const lasting = (offer: Offers[number]) => ({
    ...offer,
    used: rows
      .filter(row => row.node_id === offer.nodeId && !row.ending)
      .reduce((total, row) => add(total, useOf(row)), nothing),
  });
  const idle = await idleClusters(tx, activity, [...new Set(rows.map(row => row.cluster_id))], need);
  const candidates = rows.flatMap((row): Candidate[] => {
    const cluster = idle.get(row.cluster_id);
    if (!cluster || row.ending) return [];
    return [
      { clusterId: row.cluster_id, nodeId: row.node_id, use: useOf(row), idleSince: cluster.idle_since.getTime() },
    ];
  });
  const together = makeRoom(need.wants, need.rayVersion, offers.map(lasting), candidates)?.clusterIds ?? null;
  const { apart } = need;
  const chosen = together ?? (apart ? makeRoomApart(apart.need, apart.machines.map(lasting), candidates) : null);
  for (const id of chosen ?? []) {
    const cluster = idle.get(id);
    if (!cluster) continue;
    const desired = cluster.origin === 'job' ? 'deleted' : 'stopped';
    await tx.query(`UPDATE clusters SET desired = $2, generation = generation + 1 WHERE id = $1`, [id, desired]);
    // Whose need it was is the other tenant's business where tenants share a machine.
    const whom = need.tenantId === null ? 'another cluster' : need.forWhom;
    await recordEvent(tx, {
      tenantId: cluster.tenant_id,
      subjectKind: 'cluster',
      subject: id,
      ...(desired === 'deleted'
        ? { reason: 'ClusterReleased', message: `${cluster.name} is idle and is released to make room for ${whom}` }
        : { reason: 'ClusterPreempted', message: `${cluster.name} is preemptible and is stopped for urgent work` }),
    });
    await wake(tx, 'cluster', id);
  }
  return chosen !== null;
}

/** Brought up for jobs and not used past us, or a user's own that says it may be stopped for urgent work. */
const couldGo = `(origin = 'job' OR spec->>'preemptible' = 'true') AND desired = 'running' AND phase = 'ready' AND ready_at IS NOT NULL
       AND (direct_busy_at IS NULL OR direct_busy_at < now() - interval '30 s')`;
/** A cluster that is ready for no longer than this has been brought up for jobs that are just being sent there. */
const freshSeconds = 10;

/** Locked against a job that is being dispatched there; one that is locked already is not idle, whatever holds it. */
async function idleClusters(
  tx: Transaction,
  activity: ClusterActivity,
  among: ClusterId[],
  { tenantId, isUrgent }: { tenantId: TenantId | null; isUrgent: boolean },
): Promise<Map<ClusterId, IdleRow>> {
  const { rows } = await tx.query<IdleRow & { fresh: boolean }>(
    `SELECT id, name, origin, tenant_id, coalesce(idle_since, ready_at) AS idle_since,
       ready_at > now() - make_interval(secs => $3) AS fresh FROM clusters
     WHERE id = ANY($1) AND ${couldGo} AND ($2::text IS NULL OR tenant_id = $2) AND ($4 OR origin = 'job')
     ORDER BY id FOR UPDATE SKIP LOCKED`,
    [among, tenantId, freshSeconds, isUrgent],
  );
  const active = await activity.of(
    tx,
    rows.map(row => row.id),
  );
  const isIdle = ({ id, fresh }: { id: ClusterId; fresh: boolean }) => {
    const { live = 0, lastEndedAt = null } = active.get(id) ?? {};
    return live === 0 && (lastEndedAt !== null || !fresh);
  };
  return new Map(rows.filter(isIdle).map(row => [row.id, row]));
}
