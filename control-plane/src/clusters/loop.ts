/**
 * Brings one cluster towards what it shall be: reads the facts under a lock, asks the pure function, writes its whole
 * plan in the same transaction. Killed anywhere, nothing of it has happened, and the sweep comes again.
 */
import type { ClusterId, LeaseId, NodeId, TenantId } from '@iocloud/contracts';
import { type Cover, type Orders, paidUntil } from '../billing/index.js';
import { suitableIfEmpty } from '../core/matching/index.js';
import { recordEvent } from '../events/index.js';
import type { Machines, Reputation } from '../inventory/index.js';
import type { MeshBook, Seats } from '../mesh/index.js';
import { type Transaction, wake } from '../platform/index.js';
import { endOf } from './ending.js';
import type { ClusterFacts, Plan } from './facts.js';
import { lookAround } from './ground.js';
import { loadsOf } from './load-store.js';
import type { MachineMirror } from './machine-mirror.js';
import { countLook } from './metrics.js';
import { insertLease } from './new-lease.js';
import { placesOf, type Standing, wantOf } from './places.js';
import { isMeshed } from './placing.js';
import type { ClusterActivity } from './ports.js';
import { courseOf, reconcile } from './reconcile.js';
import { releaseIdle } from './room.js';
import { type ClusterRow, type LeaseRow, spendingOf } from './store.js';
import { comesLater } from './turn.js';

export interface LoopWiring {
  machines: Machines;
  mirror: MachineMirror;
  mesh: Pick<MeshBook, 'seats' | 'hold'>;
  activity: ClusterActivity;
  reputation: Reputation;
  orders: Orders;
  random(n: number): Uint8Array;
  now(): Date;
  /** Nodes that have been silent for too long; empty while this process cannot know. */
  silentNodes(tx: Transaction): Promise<ReadonlySet<NodeId>>;
  /** Where tenants' jobs keep checkpoints: a directory or a URL. */
  checkpointRoot: string;
}

export interface Step {
  tenantId: TenantId;
  idleTimeoutSeconds: number | null;
  plan: Plan;
}

/** One look at one cluster. Null when there is nothing to look at any more. */
export async function step(
  tx: Transaction,
  wiring: LoopWiring,
  clusterId: ClusterId,
  idleConfirmed = false,
): Promise<Step | null> {
  const now = wiring.now();
  const { rows } = await tx.query<ClusterRow>(
    `SELECT * FROM clusters WHERE id = $1 AND phase <> 'deleted' FOR UPDATE`,
    [clusterId],
  );
  const row = rows[0];
  if (!row) return null;
  const facts = await readFacts(tx, wiring, row, idleConfirmed, now);
  const course = courseOf(facts, now);
  const isNew = course.nodeId === null && !course.isMeshed;
  const look = () => lookAround(tx, wiring, row, course, isNew);
  let ground = course.want.length > 0 ? await look() : null;
  let plan = reconcile(facts, ground, now);
  if (isNew && (await comesLater(tx, row, plan, ground?.offers ?? [], now))) {
    ground = { offers: [], all: [], unsuitable: 'a cluster that comes first waits for the machine that would do' };
    plan = reconcile(facts, ground, now);
  }
  const cover = await coverOf(tx, wiring, row, facts, plan, now);
  if ('refused' in cover) plan = reconcile({ ...facts, uncovered: cover.refused }, ground, now);
  await write(tx, wiring, row, facts, plan, now, 'refused' in cover ? null : cover.orderId);
  if (plan.refused && !plan.refused.isForMoney && ground) {
    const { nodeId, places } = plan.refused;
    const { requirements, rayVersion } = facts;
    const need = { wants: places.map(wantOf), rayVersion, tenantId: row.tenant_id };
    const mayBeApart = course.isMeshed || (isNew && places.length > 1);
    await releaseIdle(
      tx,
      wiring.activity,
      ground.unsuitable === null || !requirements
        ? ground.offers.filter(offer => nodeId === null || offer.nodeId === nodeId)
        : suitableIfEmpty((await look()).all, requirements, need),
      {
        wants: places.map(wantOf),
        rayVersion,
        forWhom: row.name,
        tenantId: null,
        isUrgent: row.spec.priority === 'urgent',
        ...(mayBeApart ? { apart: { need: { ...need, requirements }, machines: ground.all } } : {}),
      },
    );
  }
  return { tenantId: row.tenant_id, idleTimeoutSeconds: facts.idleTimeoutSeconds, plan };
}

/** Sets money aside for what is to start on machines of others. */
async function coverOf(
  tx: Transaction,
  { orders }: LoopWiring,
  { id, tenant_id: tenantId, name }: ClusterRow,
  { budgetMicroUsd, spending }: ClusterFacts,
  { start }: Plan,
  now: Date,
): Promise<Cover> {
  const microUsdPerHour = start.reduce((sum, lease) => sum + (lease.isOwn ? 0 : lease.microUsdPerHour), 0);
  if (microUsdPerHour === 0) return { orderId: null };
  const budgetLeftMicroUsd = budgetMicroUsd === null ? null : budgetMicroUsd - spending.spentMicroUsd;
  return orders.cover(tx, { clusterId: id, tenantId, name, microUsdPerHour, budgetLeftMicroUsd, now });
}

async function readFacts(
  tx: Transaction,
  wiring: LoopWiring,
  row: ClusterRow,
  idleConfirmed: boolean,
  now: Date,
): Promise<ClusterFacts> {
  const { rows: leases } = await tx.query<LeaseRow>(
    'SELECT * FROM leases WHERE cluster_id = $1 AND released_at IS NULL ORDER BY id FOR UPDATE',
    [row.id],
  );
  const standing = leases.map(({ id, group_name, ordinal, phase, desired }): Standing => {
    return { id, group: group_name, ordinal, phase, desired };
  });
  const idle = await idleLeases(tx, row, standing);
  const activity = (await wiring.activity.of(tx, [row.id])).get(row.id);
  const { budgetMicroUsd } = row.spec;
  const spending = (await spendingOf(tx, budgetMicroUsd === null ? [] : [row.id], now))(row.id);
  return {
    id: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    origin: row.origin,
    desired: row.desired,
    phase: row.phase,
    generation: row.generation,
    rayVersion: row.spec.rayVersion,
    requirements: row.spec.requirements,
    places: placesOf(row.spec, { leases: standing, retries: row.retries, idle }),
    idleTimeoutSeconds: row.spec.idleTimeoutSeconds,
    budgetMicroUsd,
    spending,
    uncovered: null,
    end: endOf(row.spec, spending, now, (await paidUntil(tx, [row.id])).get(row.id)),
    conditions: row.conditions,
    retries: row.retries,
    createdAt: row.created_at,
    readyAt: row.ready_at,
    directBusyAt: row.direct_busy_at,
    leases: leases.map(lease => ({
      id: lease.id,
      nodeId: lease.node_id,
      role: lease.role,
      group: lease.group_name,
      ordinal: lease.ordinal,
      phase: lease.phase,
      message: lease.message,
      desired: lease.desired,
      nodeIp: lease.spec.nodeIp,
      readyAt: lease.ready_at,
      exitedAt: lease.exited_at,
    })),
    seats: await seatsOf(tx, wiring, row.id, leases),
    silentNodes: leases.length > 0 ? await wiring.silentNodes(tx) : new Set(),
    drainingNodes: leases.length > 0 ? await wiring.machines.draining(tx) : new Map(),
    activity: activity ?? { live: 0, lastEndedAt: null },
    idleConfirmed,
  };
}

/** Asked only where there may be a network: a cluster on one machine has none while anything of it is there. */
async function seatsOf(tx: Transaction, wiring: LoopWiring, id: ClusterId, leases: LeaseRow[]): Promise<Seats> {
  const onOne = leases.length > 0 && leases.every(({ spec }) => !isMeshed(spec));
  return onOne ? { byNode: new Map(), highest: 0 } : wiring.mesh.seats(tx, id);
}

/** Asked only where a group has more workers than it shall have, and somebody must choose. */
async function idleLeases(tx: Transaction, row: ClusterRow, leases: Standing[]): Promise<Set<LeaseId>> {
  const tooMany = row.spec.workerGroups.some(
    ({ name, count }) => leases.filter(({ group, desired }) => group === name && desired).length > count,
  );
  const load = tooMany ? (await loadsOf(tx, [row.id])).get(row.id) : undefined;
  const idle = load?.nodes.filter(({ state }) => state === 'idle') ?? [];
  return new Set(idle.flatMap(({ leaseId }) => (leaseId ? [leaseId] : [])));
}

async function write(
  tx: Transaction,
  wiring: LoopWiring,
  row: ClusterRow,
  facts: ClusterFacts,
  plan: Plan,
  now: Date,
  orderId: string | null,
): Promise<void> {
  // First, as what starts may take the places of what is lost.
  if (plan.lose.length > 0) await loseLeases(tx, wiring.reputation, row.tenant_id, plan, now);
  for (const lease of plan.start) await insertLease(tx, wiring, row, lease, now, orderId);
  const { byNode } = facts.seats;
  const isSame = byNode.size === plan.seats.size && [...plan.seats.keys()].every(nodeId => byNode.has(nodeId));
  const meshed = isSame ? [] : await wiring.mesh.hold(tx, row.id, plan.seats);
  await changeNodes(tx, wiring, row, plan, meshed);
  await tx.query(
    `UPDATE clusters SET desired = $2, phase = $3, conditions = $4, retries = $5, ready_at = $6, idle_since = $7,
       phase_since = CASE WHEN phase = $3 THEN phase_since ELSE $10::timestamptz END, look_at = $8, generation = generation + $9, observed_generation = generation + $9,
       deleted_at = CASE WHEN $3 = 'deleted' THEN $10::timestamptz END WHERE id = $1`,
    [
      row.id,
      plan.desired,
      plan.phase,
      JSON.stringify(plan.conditions),
      JSON.stringify(plan.retries),
      plan.readyAt,
      plan.idleSince,
      plan.lookAt,
      plan.desired === row.desired ? 0 : 1,
      now,
    ],
  );
  countLook(tx, row, plan, now);
  for (const line of plan.lines) {
    await recordEvent(tx, { tenantId: row.tenant_id, subjectKind: 'cluster', subject: row.id, ...line });
  }
  if (plan.lose.length > 0) await wake(tx, 'billing', row.id);
  if (plan.wakeDispatch || plan.lose.length > 0) await wake(tx, 'dispatch', 'all');
  if (plan.lose.length > 0) await wakeWaiting(tx);
  if (plan.evict) await wiring.activity.evict(tx, row.id, plan.evict);
  if (plan.headLost) await wiring.activity.headLost(tx, row.id);
}

/** A silent machine cannot confirm: its leases are given up; should it come back, it is told that they are not desired. */
async function loseLeases(
  tx: Transaction,
  reputation: Reputation,
  tenantId: TenantId,
  plan: Plan,
  now: Date,
): Promise<void> {
  const { rows } = await tx.query<{ node_id: NodeId; failed: boolean; ready: boolean }>(
    `UPDATE leases l SET phase = 'lost', message = 'the machine went silent', desired = false, released_at = now(),
       failed = before.failed OR before.desired
     FROM (SELECT id, desired, failed, phase = 'ready' AS ready FROM leases WHERE id = ANY($1)) before
     WHERE l.id = before.id RETURNING l.node_id, l.failed, before.ready`,
    [plan.lose],
  );
  for (const { node_id, failed, ready } of rows) {
    if (failed && ready) await reputation.record(tx, node_id, tenantId, { kind: 'rayNodeLost' }, now);
  }
  await tx.query('UPDATE lease_devices SET released = true WHERE lease_id = ANY($1)', [plan.lose]);
}

/** Tells each machine once, in the order of their ids, so that two transactions never wait for each other. */
async function changeNodes(
  tx: Transaction,
  wiring: LoopWiring,
  row: ClusterRow,
  plan: Plan,
  alsoTold: NodeId[],
): Promise<void> {
  const { rows } = await tx.query<{ id: string; node_id: NodeId }>(
    'SELECT id, node_id FROM leases WHERE cluster_id = $1 AND (released_at IS NULL OR id = ANY($2))',
    [row.id, plan.lose],
  );
  const changed = new Set<string>([...plan.end, ...plan.lose]);
  const nodes = new Set<NodeId>([
    ...alsoTold,
    ...plan.start.map(lease => lease.nodeId),
    ...rows.filter(lease => changed.has(lease.id) || plan.tellWorkers).map(lease => lease.node_id),
  ]);
  for (const nodeId of [...nodes].sort()) {
    const revision = await wiring.machines.changeDesired(tx, nodeId);
    await tx.query(
      'UPDATE leases SET desired = false, undesired_revision = $3 WHERE node_id = $1 AND id = ANY($2) AND desired',
      [nodeId, plan.end, revision],
    );
  }
}

/** Room has become free: whoever waits for some looks again. */
export async function wakeWaiting(tx: Transaction): Promise<void> {
  await tx.query(
    `INSERT INTO outbox (topic, key)
     SELECT 'cluster', id FROM clusters WHERE phase <> 'deleted' AND desired = 'running'
       AND conditions @> '[{"type": "Placed", "status": "False"}]'`,
  );
}
