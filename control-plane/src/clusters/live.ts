/** What clusters are to jobs: which are there, what they carry, and whether they take any. */
import { type ClusterId, type ClusterLoad, heartbeatTimeoutMs, type NodeId, type TenantId } from '@iocloud/contracts';
import { defaultMemoryFloorBytes } from '../core/matching/index.js';
import type { Machines } from '../inventory/index.js';
import type { Queryable } from '../platform/index.js';
import { type Place, placeKey } from './facts.js';
import { inUse, isSaturated } from './load.js';
import { loadsOf } from './load-store.js';
import { placesOf } from './places.js';
import type { Capacity, Clusters, ClusterView } from './ports.js';
import type { ClusterRow, LeaseRow, PlacedSpec } from './store.js';

/** One whose machine is being left takes no new job: a user's own comes back elsewhere, one for jobs is given up. */
export const live =
  (machines: Pick<Machines, 'draining' | 'silentSince'>): Clusters['live'] =>
  async (db, tenantId) =>
    takingJobs(db, machines, await everyLive(db, { tenantId }));

/** Ending or deleting a cluster takes its row FOR UPDATE, which waits for this weaker lock. */
export const hold =
  (machines: Pick<Machines, 'draining' | 'silentSince'>): Clusters['hold'] =>
  async (tx, clusterIds) => {
    await tx.query({
      name: 'hold-clusters',
      text: 'SELECT 1 FROM clusters WHERE id = ANY($1) ORDER BY id FOR KEY SHARE',
      values: [clusterIds],
    });
    return takingJobs(tx, machines, await everyLive(tx, { clusterIds }));
  };

async function takingJobs(
  db: Queryable,
  machines: Pick<Machines, 'draining' | 'silentSince'>,
  views: LiveCluster[],
): Promise<ClusterView[]> {
  const draining = await machines.draining(db);
  const silent = new Set(await machines.silentSince(db, heartbeatTimeoutMs / 1000));
  return views.flatMap(({ view, headNodeId, leaving, endsSoon }) => {
    // One that only carries workers is left without the cluster.
    const drain = headNodeId && draining.get(headNodeId);
    if (drain && view.origin === 'job') return [];
    if (drain) return [notReady(view, `its machine ${drain.name} is being drained`)];
    if (leaving) return [notReady(view, `${view.name} ${leaving}`)];
    if (endsSoon) return [notReady(view, `${view.name} is stopped: ${endsSoon}`)];
    if (view.phase !== 'ready') return [view];
    if (view.headLeaseId === null) return [notReady(view, 'its head has ended')];
    return [headNodeId && silent.has(headNodeId) ? notReady(view, 'its head cannot be reached') : view];
  });
}

function notReady(view: ClusterView, waitingFor: string): ClusterView {
  const phase = view.phase === 'ready' ? 'provisioning' : view.phase;
  return { ...view, phase, headLeaseId: null, waitingFor };
}

interface LiveCluster {
  view: ClusterView;
  headNodeId: NodeId | undefined;
  /** Why it is to go, as a cell. */
  leaving: string | null;
  /** Why it will be stopped within seconds; jobs that run there have been asked to move. */
  endsSoon: string | undefined;
}

async function everyLive(
  db: Queryable,
  among: { tenantId?: TenantId | undefined; clusterIds?: ClusterId[] },
): Promise<LiveCluster[]> {
  const { rows } = await db.query<LiveRow>({
    name: 'live-clusters',
    // Every run of the scheduler reads all of them: no more than it looks at.
    text: `SELECT id, tenant_id, name, origin, phase, spec, retries, mega_id, mega_name, leaving,
             CASE WHEN phase = 'ready' THEN jsonb_path_query_array(conditions, '$[*] ? (@.type == "Ending")')
               ELSE conditions END AS conditions
           FROM clusters WHERE phase IN ('pending', 'provisioning', 'ready') AND desired = 'running'
             AND ($1::text IS NULL OR tenant_id = $1) AND ($2::text[] IS NULL OR id = ANY($2)) ORDER BY created_at, id`,
    values: [among.tenantId ?? null, among.clusterIds ?? null],
  });
  const leases = await standingLeases(
    db,
    rows.map(row => row.id),
  );
  const loads = await loadsOf(
    db,
    rows.filter(row => row.phase === 'ready').map(row => row.id),
  );
  return rows.map(row => {
    const own = leases.get(row.id) ?? [];
    return {
      view: toView(row, own, loads.get(row.id)),
      headNodeId: own.find(lease => lease.role === 'head')?.node_id,
      leaving: row.leaving,
      endsSoon: row.conditions.find(({ type }) => type === 'Ending')?.message,
    };
  });
}

type LiveRow = Pick<
  ClusterRow,
  | 'id'
  | 'tenant_id'
  | 'name'
  | 'origin'
  | 'phase'
  | 'spec'
  | 'retries'
  | 'conditions'
  | 'mega_id'
  | 'mega_name'
  | 'leaving'
>;
type StandingLease = Pick<
  LeaseRow,
  'id' | 'cluster_id' | 'node_id' | 'role' | 'group_name' | 'ordinal' | 'phase' | 'desired' | 'memory_bytes'
>;

async function standingLeases(db: Queryable, clusterIds: ClusterId[]): Promise<Map<ClusterId, StandingLease[]>> {
  const { rows } = await db.query<StandingLease>({
    name: 'standing-leases',
    text: `SELECT id, cluster_id, node_id, role, group_name, ordinal, phase, desired, memory_bytes FROM leases
           WHERE cluster_id = ANY($1) AND released_at IS NULL ORDER BY cluster_id, role, group_name, ordinal`,
    values: [clusterIds],
  });
  const byCluster = new Map<ClusterId, StandingLease[]>(clusterIds.map(id => [id, []]));
  for (const row of rows) byCluster.get(row.cluster_id)?.push(row);
  return byCluster;
}

function toView(row: LiveRow, leases: StandingLease[], load: ClusterLoad | undefined): ClusterView {
  const standing = leases.map(({ id, group_name, ordinal, phase, desired }) => {
    return { id, group: group_name, ordinal, phase, desired };
  });
  const places = placesOf(row.spec, { leases: standing, retries: row.retries, idle: new Set() });
  const memory = new Map(leases.map(lease => [`${lease.group_name}/${lease.ordinal}`, lease.memory_bytes]));
  const elastic = row.spec.workerGroups.filter(group => group.maxCount !== undefined);
  const head = leases.find(lease => lease.role === 'head');
  return {
    id: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    origin: row.origin,
    phase: row.phase as ClusterView['phase'],
    headLeaseId: row.phase === 'ready' && head?.phase === 'ready' && head.desired ? head.id : null,
    capacity: capacityOf(places, memory),
    ...(elastic.length > 0 ? { growsTo: capacityOf(placesOf(grown(row.spec)), memory) } : {}),
    ...(row.mega_id && row.mega_name ? { mega: { id: row.mega_id, name: row.mega_name } } : {}),
    saturated: load !== undefined && isSaturated(load),
    ...(load === undefined ? {} : { inUse: inUse(load) }),
    nodeLabels: [...places.map(place => place.needs.labels), ...elastic.map(group => group.labels)],
    requirements: row.spec.requirements,
    waitingFor: row.phase === 'ready' ? '' : waitingFor(row),
  };
}

const grown = (spec: PlacedSpec): PlacedSpec => ({
  ...spec,
  workerGroups: spec.workerGroups.map(group => ({ ...group, count: group.maxCount ?? group.count })),
});

/** `memory` is what leases got where the spec left it to the machine, by place. Bytes. */
function capacityOf(places: Place[], memory: ReadonlyMap<string, number>): Capacity {
  const resources: Record<string, number> = {};
  for (const place of places) {
    for (const [name, amount] of Object.entries(place.needs.resources)) {
      resources[name] = (resources[name] ?? 0) + amount;
    }
  }
  return {
    cpus: places.reduce((total, place) => total + place.needs.cpus, 0),
    gpus: places.reduce((total, place) => total + place.needs.gpus, 0),
    memoryBytes: places.reduce(
      (total, place) => total + (memory.get(placeKey(place)) ?? place.needs.memoryBytes ?? defaultMemoryFloorBytes),
      0,
    ),
    resources,
  };
}

function waitingFor(row: LiveRow): string {
  const unmet = row.conditions.find(condition => condition.status === 'False' && condition.type !== 'NetworkIsolated');
  return unmet ? `${row.name}: ${unmet.message}` : `${row.name} is being provisioned`;
}
