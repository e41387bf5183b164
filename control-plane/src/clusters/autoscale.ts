/**
 * Brings the sizes of autoscaled groups to what core/autoscaling decides. A new size is a wish like that of
 * `iocloud cluster scale`, and the reconcile loop does the rest. A worker that shall go is drained first: Ray itself says
 * yes only while nothing runs there, and takes nothing more on it. Should this process die between that and the wish, the
 * drained Ray node ends by itself and is replaced, and the next look finds the new one idle.
 */
import {
  type ClusterId,
  defaultWorkerIdleSeconds,
  type LeaseId,
  type TenantId,
  type WorkerGroup,
} from '@iocloud/contracts';
import { type Decision, decide, type Group, type Retirement, type Situation } from '../core/autoscaling/index.js';
import { defaultMemoryFloorBytes } from '../core/matching/index.js';
import { recordEvent } from '../events/index.js';
import type { Machines } from '../inventory/index.js';
import { type Database, type Logger, type Transaction, wake } from '../platform/index.js';
import type { ResourceState } from './ray-state/index.js';
import { type ClusterRow, type LeaseRow, leasesOf, type PlacedSpec, setWish } from './store.js';

export interface AutoscaleWiring {
  database: Database;
  machines: Pick<Machines, 'changeDesired'>;
  log: Logger;
  now(): Date;
  /** Asks Ray to take nothing more on a node. */
  drain(clusterId: ClusterId, rayNodeId: string, why: string): Promise<{ accepted: boolean; reason: string }>;
  told(tenantId: TenantId): void;
}

const isAutoscaled = (group: WorkerGroup): group is WorkerGroup & { maxCount: number } => group.maxCount !== undefined;
const seconds = (ms: number) => Math.round(ms / 1_000);

/** One decision on one cluster, made true. */
export async function autoscale(wiring: AutoscaleWiring, clusterId: ClusterId, state: ResourceState): Promise<void> {
  const { rows } = await wiring.database.query<ClusterRow>(
    `SELECT * FROM clusters WHERE id = $1 AND phase = 'ready' AND desired = 'running'`,
    [clusterId],
  );
  const row = rows[0];
  if (!row?.spec.workerGroups.some(isAutoscaled)) return;
  const leases = (await leasesOf(wiring.database, [clusterId])).get(clusterId) ?? [];
  const decision = decide(situationOf(row, leases, state, wiring.now()));
  if (decision.grow.length + decision.giveUp.length > 0) await resize(wiring, row, decision);
  for (const retirement of decision.retire) await retire(wiring, row, retirement, state);
}

/** What core/autoscaling looks at. Pure. */
export function situationOf(row: ClusterRow, leases: LeaseRow[], state: ResourceState, now: Date): Situation {
  const groups = new Map(row.spec.workerGroups.map(group => [group.name, group]));
  const nodes = new Map(
    state.nodes.filter(({ status }) => status === 'running' || status === 'idle').map(node => [node.instanceId, node]),
  );
  const workers = leases.flatMap(lease => {
    const node = nodes.get(lease.id);
    if (!lease.desired || !node) return [];
    const labels = (lease.role === 'head' ? row.spec.head : groups.get(lease.group_name))?.labels ?? {};
    const idleMs = node.status === 'idle' ? node.idleMs : null;
    return [{ id: lease.id, group: lease.group_name, labels, free: node.available, idleMs, total: node.total }];
  });
  const joined = new Set(workers.map(worker => worker.id));
  const startingIn = (name: string) =>
    leases.filter(
      ({ id, group_name, desired, phase }) =>
        group_name === name && desired && !joined.has(id) && phase !== 'exited' && phase !== 'lost',
    ).length;
  const memoryOf = (name: string) => workers.find(worker => worker.group === name)?.total.memory;
  return {
    groups: row.spec.workerGroups.filter(isAutoscaled).map((group): Group => {
      const grownAt = row.grown_at[group.name];
      return {
        name: group.name,
        count: group.count,
        minCount: group.minCount ?? 0,
        maxCount: group.maxCount,
        idleTimeoutMs: (group.idleTimeoutSeconds ?? defaultWorkerIdleSeconds) * 1_000,
        shape: shapeOf(group, group.memoryBytes ?? memoryOf(group.name) ?? defaultMemoryFloorBytes),
        labels: group.labels,
        starting: startingIn(group.name),
        grownAtMs: grownAt === undefined ? null : Date.parse(grownAt),
      };
    }),
    workers,
    demand: state,
    nowMs: now.getTime(),
  };
}

/** What `ray start` will offer there: whole CPUs, and for an accelerator the mark of its model, as Ray sets it. */
const shapeOf = (group: WorkerGroup, memory: number): Record<string, number> => ({
  ...group.resources,
  CPU: Math.floor(group.cpus),
  GPU: group.gpus,
  memory,
  ...(group.gpus > 0 && group.accelerator ? { [`accelerator_type:${group.accelerator}`]: 1 } : {}),
});

async function lock(tx: Transaction, clusterId: ClusterId): Promise<ClusterRow | undefined> {
  const { rows } = await tx.query<ClusterRow>(
    `SELECT * FROM clusters WHERE id = $1 AND phase = 'ready' AND desired = 'running' FOR UPDATE`,
    [clusterId],
  );
  return rows[0];
}

const withCount = (spec: PlacedSpec, name: string, change: number): PlacedSpec => ({
  ...spec,
  workerGroups: spec.workerGroups.map(group =>
    group.name === name ? { ...group, count: group.count + change } : group,
  ),
});
const countOf = (spec: PlacedSpec, name: string) => spec.workerGroups.find(group => group.name === name)?.count ?? 0;

async function resize(wiring: AutoscaleWiring, before: ClusterRow, { grow, giveUp }: Decision): Promise<void> {
  const done = await wiring.database.transaction(async tx => {
    const row = await lock(tx, before.id);
    // Somebody has changed it meanwhile: the next look decides anew.
    if (row?.generation !== before.generation) return false;
    let { spec } = row;
    const tell = (group: string, change: number, reason: string, why: string) => {
      const from = countOf(spec, group);
      spec = withCount(spec, group, change);
      const verb = change > 0 ? 'grows' : 'shrinks';
      const message = `group ${group} of ${row.name} ${verb} from ${from} to ${from + change} workers: ${why}`;
      return recordEvent(tx, { tenantId: row.tenant_id, subjectKind: 'cluster', subject: row.id, reason, message });
    };
    for (const { group, by, why } of grow) await tell(group, by, 'ClusterScaledUp', why);
    for (const { group, by } of giveUp) {
      await tell(group, -by, 'ClusterScaledDown', `nothing waits any more for ${by} that found no place`);
    }
    await setWish(tx, row.id, { desired: row.desired, spec });
    const at = wiring.now().toISOString();
    const grownAt = { ...row.grown_at, ...Object.fromEntries(grow.map(({ group }) => [group, at])) };
    await tx.query('UPDATE clusters SET grown_at = $2 WHERE id = $1', [row.id, JSON.stringify(grownAt)]);
    await wake(tx, 'cluster', row.id);
    return true;
  });
  if (done) wiring.told(before.tenant_id);
}

async function retire(
  wiring: AutoscaleWiring,
  before: ClusterRow,
  { id, group, idleMs }: Retirement,
  state: ResourceState,
): Promise<void> {
  const node = state.nodes.find(({ instanceId, status }) => instanceId === id && status === 'idle');
  if (!node) return;
  const drained = await wiring.drain(before.id, node.rayNodeId, `idle for ${seconds(idleMs)} s`);
  if (!drained.accepted) {
    wiring.log.info(
      { clusterId: before.id, leaseId: id, reason: drained.reason },
      'an idle worker is busy again and stays',
    );
    return;
  }
  await wiring.database.transaction(tx => letGo(tx, wiring, before.id, { id: id as LeaseId, group, idleMs }));
  wiring.told(before.tenant_id);
}

/** Ends the lease of a drained worker and takes it off its group's size, unless somebody wants it otherwise by now. */
async function letGo(
  tx: Transaction,
  wiring: AutoscaleWiring,
  clusterId: ClusterId,
  gone: { id: LeaseId; group: string; idleMs: number },
): Promise<void> {
  const row = await lock(tx, clusterId);
  const group = row?.spec.workerGroups.find(({ name }) => name === gone.group);
  if (!row || !group || group.count <= (group.minCount ?? 0)) return;
  const { rows } = await tx.query<LeaseRow>(
    'SELECT * FROM leases WHERE id = $1 AND desired AND released_at IS NULL FOR UPDATE',
    [gone.id],
  );
  const lease = rows[0];
  if (!lease) return;
  await setWish(tx, row.id, { desired: row.desired, spec: withCount(row.spec, group.name, -1) });
  const revision = await wiring.machines.changeDesired(tx, lease.node_id);
  await tx.query('UPDATE leases SET desired = false, undesired_revision = $2 WHERE id = $1', [lease.id, revision]);
  await recordEvent(tx, {
    tenantId: row.tenant_id,
    subjectKind: 'cluster',
    subject: row.id,
    reason: 'ClusterScaledDown',
    message:
      `group ${group.name} of ${row.name} shrinks from ${group.count} to ${group.count - 1} workers: ` +
      `${group.name}/${lease.ordinal} was idle for ${seconds(gone.idleMs)} s`,
  });
  await wake(tx, 'cluster', row.id);
}
