/** What clusters are to jobs: which are there and what they carry, and one brought up where there is no room. */
import {
  type ClusterId,
  type ClusterLoad,
  type ClusterSpec,
  heartbeatTimeoutMs,
  type NodeId,
  type NodeResources,
  newId,
  type Requirements,
  type TenantId,
} from '@iocloud/contracts';
import {
  defaultMemoryFloorBytes,
  empty,
  fleetNodeOf,
  placeTogether,
  suitable,
  suitableIfEmpty,
  type Want,
} from '../core/matching/index.js';
import { recordEvent } from '../events/index.js';
import type { Machines } from '../inventory/index.js';
import { type Config, type Queryable, type Seal, type Transaction, wake } from '../platform/index.js';
import { explainPlacement } from './explain.js';
import { headGroup, type Offers, type Place, placeKey } from './facts.js';
import { isSaturated } from './load.js';
import { loadsOf } from './load-store.js';
import { type LoopWiring, step } from './loop.js';
import { placesOf } from './places.js';
import type { Capacity, Clusters, ClusterView } from './ports.js';
import { loadOffers, lockPlacement, releaseIdle } from './room.js';
import { type ClusterRow, insertCluster, type LeaseRow, leasesOf, type PlacedSpec } from './store.js';
import { newToken } from './token.js';

/** A cluster for a job gets a machine's CPUs up to this number, so that the next jobs find room on it. */
const roomyCpus = 8;

interface Wiring extends LoopWiring {
  config: Pick<Config, 'rayVersion' | 'idleTimeoutSeconds'>;
  seal: Seal;
}

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
  return views.flatMap(({ view, headNodeId, endsSoon }) => {
    // One that only carries workers is left without the cluster.
    const drain = headNodeId && draining.get(headNodeId);
    if (drain && view.origin === 'job') return [];
    if (drain) return [notReady(view, `its machine ${drain.name} is being drained`)];
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
    text: `SELECT id, tenant_id, name, origin, phase, spec, retries,
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
      endsSoon: row.conditions.find(({ type }) => type === 'Ending')?.message,
    };
  });
}

type LiveRow = Pick<ClusterRow, 'id' | 'tenant_id' | 'name' | 'origin' | 'phase' | 'spec' | 'retries' | 'conditions'>;
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
    saturated: load !== undefined && isSaturated(load),
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

export const provisionForJob =
  (wiring: Wiring): Clusters['provisionForJob'] =>
  async (tx, tenantId, needs, { requirements, preempts = false } = {}) => {
    await lockPlacement(tx);
    const { rayVersion } = wiring.config;
    const sizes = requirements ? [needs] : [needs, { ...needs, cpus: Math.max(roomyCpus, needs.cpus) }];
    const asks = sizes.map(size => ({ wants: [wantFor(size)], rayVersion, requirements }));
    const { offers, isPart } = await loadOffers(tx, wiring, tenantId, asks);
    const whose = preempts ? null : tenantId;
    if (requirements) {
      return provisionAsRequired(tx, wiring, offers, {
        tenantId,
        needs,
        requirements,
        whose,
        isUrgent: preempts,
        isPart,
      });
    }
    const shape = shapeThatFits(needs, rayVersion, offers);
    if (!('refused' in shape)) return provision(tx, wiring, tenantId, shape);

    const emptied = offers.map(offer => ({ ...offer, used: empty }));
    const roomy = shapeThatFits(needs, rayVersion, emptied);
    if ('refused' in roomy) return { refused: roomy.refused, ever: false };
    for (const candidate of [roomy, needs]) {
      const makesRoom = await releaseIdle(tx, wiring.activity, offers, {
        wants: [wantFor(candidate)],
        rayVersion,
        forWhom: 'a job',
        tenantId: whose,
        isUrgent: preempts,
      });
      if (makesRoom) return provision(tx, wiring, tenantId, candidate);
    }
    return { refused: shape.refused, ever: true };
  };

interface Required {
  tenantId: TenantId;
  needs: NodeResources;
  requirements: Requirements;
  /** Whose idle clusters may go for it; null: anybody's. */
  whose: TenantId | null;
  isUrgent: boolean;
  isPart: boolean;
}

/** No roomier than the job needs: what is required may have a price. */
async function provisionAsRequired(
  tx: Transaction,
  wiring: Wiring,
  offers: Offers,
  { tenantId, needs, requirements, whose, isUrgent, isPart }: Required,
): ReturnType<Clusters['provisionForJob']> {
  const need = { wants: [wantFor(needs)], rayVersion: wiring.config.rayVersion, tenantId, isPart };
  const found = suitable(offers, requirements, need);
  if (!('refused' in found)) return provision(tx, wiring, tenantId, needs, requirements);
  const emptied = suitable(
    offers.map(offer => ({ ...offer, used: empty })),
    requirements,
    need,
  );
  if ('refused' in emptied) return { refused: emptied.refused, ever: false };
  const roomier = suitableIfEmpty(offers, requirements, need);
  const makesRoom = await releaseIdle(tx, wiring.activity, roomier, {
    ...need,
    tenantId: whose,
    forWhom: 'a job',
    isUrgent,
  });
  if (makesRoom) return provision(tx, wiring, tenantId, needs, requirements);
  return { refused: found.refused, ever: true };
}

export const explainForJob =
  (wiring: Wiring): Clusters['explainForJob'] =>
  (db, tenantId, needs, requirements, isUrgent = false) => {
    const ask = { tenantId, wants: [wantFor(needs)], rayVersion: wiring.config.rayVersion, requirements };
    const dryRun = { ...ask, whose: isUrgent ? null : tenantId, isUrgent };
    return explainPlacement(db, wiring, dryRun, wiring.now().getTime());
  };

/** What the cluster holds of its machine (that of its head), as a machine of its own, to hold requirements against. */
export const groundsOf =
  (wiring: Pick<LoopWiring, 'machines'>): Clusters['groundsOf'] =>
  async (db, clusterIds) => {
    if (clusterIds.length === 0) return new Map();
    const leases = [...(await leasesOf(db, clusterIds)).entries()];
    const nodeIds = new Set(leases.flatMap(([, rows]) => rows.map(row => row.node_id)));
    const machines = new Map((await wiring.machines.read(db, [...nodeIds])).map(machine => [machine.nodeId, machine]));
    return new Map(
      leases.flatMap(([clusterId, rows]) => {
        const home = rows.find(row => row.role === 'head')?.node_id ?? rows[0]?.node_id;
        const machine = home && machines.get(home);
        if (!machine) return [];
        const here = rows.filter(row => row.node_id === home);
        const indices = new Set(here.flatMap(row => row.spec.deviceIndices));
        const part = {
          ...machine,
          // Its own leases are on it whatever becomes of the machine otherwise.
          schedulable: true,
          cpus: here.reduce((sum, row) => sum + row.cpus, 0),
          devices: machine.devices.filter(({ index }) => indices.has(index)),
        };
        return [[clusterId, fleetNodeOf(part)] as const];
      }),
    );
  };

const wantFor = (needs: NodeResources): Want => ({ key: `${headGroup}/0`, ...needs });

/** The roomiest head that fits somewhere: up to `roomyCpus`, else what a machine has free, at least what is needed. */
function shapeThatFits(needs: NodeResources, rayVersion: string, offers: Offers): NodeResources | { refused: string } {
  const wishes = offers.flatMap(({ cpus, used }) => [
    Math.min(roomyCpus, cpus),
    Math.min(roomyCpus, Math.floor(cpus - used.cpus)),
  ]);
  const sizes = [...new Set([...wishes, 1, 0].map(cpus => Math.max(needs.cpus, cpus)))].sort((a, b) => b - a);
  let refused = 'no machine is online';
  for (const cpus of sizes) {
    const placement = placeTogether([wantFor({ ...needs, cpus })], rayVersion, offers);
    if (!('refused' in placement)) return { ...needs, cpus };
    refused = placement.refused;
  }
  return { refused };
}

async function provision(
  tx: Transaction,
  wiring: Wiring,
  tenantId: TenantId,
  head: NodeResources,
  requirements?: Requirements,
): ReturnType<Clusters['provisionForJob']> {
  const { config, random, seal } = wiring;
  const id = newId('cluster', random);
  const spec: ClusterSpec & { rayVersion: string } = {
    name: `job-${id.slice(3, 11)}`,
    type: 'ray',
    waitForMachines: false,
    budgetMicroUsd: null,
    until: null,
    priority: 'normal',
    preemptible: false,
    rayVersion: config.rayVersion,
    head,
    workerGroups: [],
    idleTimeoutSeconds: Math.round(config.idleTimeoutSeconds),
    ...(requirements ? { requirements } : {}),
  };
  const sealedToken = seal.seal(newToken(random), id);
  await tx.query('SAVEPOINT job_cluster');
  await insertCluster(tx, { id, tenantId, spec, origin: 'job', sealedToken, now: wiring.now() });
  await recordEvent(tx, {
    tenantId,
    subjectKind: 'cluster',
    subject: id,
    reason: 'ClusterCreated',
    message: `${spec.name} is brought up for a job that found no room: ${head.cpus} CPUs, ${head.gpus} accelerators`,
  });
  // Placed at once, so that the room just found is taken when this transaction commits.
  const refused = (await step(tx, wiring, id))?.plan.refused;
  if (refused?.isForMoney) {
    // The job goes on waiting in the queue, which says why, and no cluster waits beside it.
    await tx.query('ROLLBACK TO SAVEPOINT job_cluster');
    return { refused: refused.message, ever: true, isUnpaid: true };
  }
  await tx.query('RELEASE SAVEPOINT job_cluster');
  await wake(tx, 'cluster', id);
  return { clusterId: id };
}
