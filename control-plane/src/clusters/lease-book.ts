/** The leases as the machines' agents see them: what each shall run, and what each reports. */
import type { ClusterId, LeaseId, LeaseObservation, LeasePhase, NodeId, TenantId } from '@iocloud/contracts';
import { recordEvent, recordEvents } from '../events/index.js';
import type { LeaseBook, Reputation } from '../inventory/index.js';
import {
  type Database,
  groupsInOrderOf,
  lookUp,
  type Seal,
  type Transaction,
  wake,
  wakeAll,
} from '../platform/index.js';
import { leasedWithLoad } from './load-store.js';
import { wakeWaiting } from './loop.js';
import type { ClusterActivity } from './ports.js';
import type { LeaseRow, StoredLeaseSpec } from './store.js';

/** What an observation may change: a lease only ever goes forward, and one that has exited stays exited. */
export const observedNext: Record<LeasePhase, readonly LeaseObservation['phase'][]> = {
  pending: ['starting', 'ready', 'exited'],
  starting: ['ready', 'exited'],
  ready: ['exited'],
  exited: [],
  lost: [],
};

type LiveLease = Pick<
  LeaseRow,
  | 'id'
  | 'tenant_id'
  | 'cluster_id'
  | 'role'
  | 'group_name'
  | 'ordinal'
  | 'phase'
  | 'message'
  | 'desired'
  | 'undesired_revision'
  | 'ready_at'
> & { cluster_name: string };

interface Wiring {
  database: Database;
  seal: Seal;
  reputation: Reputation;
  activity: Pick<ClusterActivity, 'tell'>;
  now(): Date;
  told(tenantId: TenantId): void;
}

export function createLeaseBook(wiring: Wiring): LeaseBook {
  const { database, seal, told, now } = wiring;
  return {
    desired: async nodeId => {
      const rows = await desiredRows(database, nodeId);
      const leases = (rows ?? []).flatMap(row =>
        row.cluster_id === null
          ? []
          : [{ ...row.spec, contained: row.contained, authToken: seal.open(row.sealed_token, row.cluster_id) }],
      );
      return { revision: rows?.[0]?.revision ?? 0, leases };
    },

    observed: async (nodeId, revision, observations) => {
      // Of a machine that has no leases on record nothing can have changed; one that comes later is told of later.
      if (!(await hasLeases(database, nodeId))) return;
      const tenants = await database.transaction(tx =>
        observe(tx, wiring.reputation, nodeId, revision, observations, now()),
      );
      for (const tenantId of tenants) told(tenantId);
    },

    ending: async nodeIds => {
      const { rows } = await database.query<{ id: LeaseId; node_id: NodeId }>({
        name: 'ending-leases',
        text: `SELECT id, node_id FROM leases
               WHERE node_id = ANY($1) AND released_at IS NULL AND NOT desired ORDER BY id`,
        values: [nodeIds],
      });
      return rows.map(({ id, node_id }) => ({ leaseId: id, nodeId: node_id }));
    },

    leased: leasedWithLoad,

    leave: async (tx, nodeId) => {
      const { rows } = await tx.query<{ cluster_id: ClusterId }>(
        'SELECT DISTINCT cluster_id FROM leases WHERE node_id = $1 AND released_at IS NULL ORDER BY cluster_id',
        [nodeId],
      );
      for (const row of rows) await wake(tx, 'cluster', row.cluster_id);
    },

    tellOfMachine: async (tx, nodeId, news) => {
      const { rows } = await tx.query<{ cluster_id: ClusterId; tenant_id: TenantId }>(
        'SELECT DISTINCT cluster_id, tenant_id FROM leases WHERE node_id = $1 AND released_at IS NULL',
        [nodeId],
      );
      if (rows.length === 0) return;
      await recordEvents(
        tx,
        rows.map(row => ({ tenantId: row.tenant_id, subjectKind: 'cluster', subject: row.cluster_id, ...news })),
      );
      await wiring.activity.tell(
        tx,
        rows.map(row => row.cluster_id),
        news,
      );
    },

    roomCame: wakeWaiting,

    isEmpty: async (db, nodeId) => {
      const { rows } = await db.query('SELECT 1 FROM leases WHERE node_id = $1 AND released_at IS NULL LIMIT 1', [
        nodeId,
      ]);
      return rows.length === 0;
    },
  };
}

interface DesiredRow {
  node_id: NodeId;
  revision: number;
  cluster_id: ClusterId | null;
  spec: StoredLeaseSpec;
  sealed_token: Buffer;
  contained: boolean;
}

/**
 * One statement is one snapshot: the revision is that of these leases. A worker is shown once there is a head to join, and
 * stays shown until it shall end.
 */
const desiredRows = lookUp<NodeId, DesiredRow[]>(async (db, nodeIds) => {
  const { rows } = await db.query<DesiredRow>({
    name: 'desired-leases',
    text: `SELECT n.id AS node_id, n.desired_revision AS revision, l.cluster_id, l.spec, c.sealed_token,
             n.tenant_id <> c.tenant_id AND NOT coalesce((n.terms->>'plainProcesses')::boolean, false) AS contained
           FROM nodes n
           LEFT JOIN leases l ON l.node_id = n.id AND l.released_at IS NULL AND l.desired
             AND (l.role = 'head' OR l.phase <> 'pending' OR EXISTS (
               SELECT 1 FROM leases h WHERE h.cluster_id = l.cluster_id AND h.role = 'head'
                 AND h.released_at IS NULL AND h.desired AND h.phase = 'ready'))
           LEFT JOIN clusters c ON c.id = l.cluster_id
           WHERE n.id = ANY($1) ORDER BY l.id`,
    values: [nodeIds],
  });
  return groupsInOrderOf(nodeIds, rows, row => row.node_id);
});

const hasLeases = lookUp<NodeId, true>(async (db, nodeIds) => {
  const { rows } = await db.query<{ node_id: NodeId }>({
    name: 'nodes-with-leases',
    text: 'SELECT DISTINCT node_id FROM leases WHERE node_id = ANY($1) AND released_at IS NULL',
    values: [nodeIds],
  });
  const having = new Set(rows.map(row => row.node_id));
  return nodeIds.map(nodeId => having.has(nodeId) || null);
});

/** Writes what changed and wakes whom it concerns. Returns the tenants of whom something changed. */
async function observe(
  tx: Transaction,
  reputation: Reputation,
  nodeId: NodeId,
  revision: number,
  observations: LeaseObservation[],
  now: Date,
): Promise<Set<TenantId>> {
  const seen = new Map(observations.map(observation => [observation.leaseId, observation]));
  const { rows } = await tx.query<LiveLease>(
    `SELECT l.id, l.tenant_id, l.cluster_id, c.name AS cluster_name, l.role, l.group_name, l.ordinal, l.phase, l.message,
       l.desired, l.undesired_revision, l.ready_at
     FROM leases l JOIN clusters c ON c.id = l.cluster_id
     WHERE l.node_id = $1 AND l.released_at IS NULL ORDER BY l.id FOR UPDATE OF l`,
    [nodeId],
  );
  const changed: LiveLease[] = [];
  const ended: LeaseId[] = [];
  for (const lease of rows) {
    const observation = seen.get(lease.id);
    if (observation) {
      if (await advance(tx, lease, observation, now)) changed.push(lease);
      if (failsBy(lease, observation) && lease.ready_at !== null) {
        await reputation.record(tx, nodeId, lease.tenant_id, { kind: 'rayNodeLost' }, now);
      }
    } else if (!lease.desired && lease.undesired_revision !== null && revision >= lease.undesired_revision) {
      ended.push(lease.id);
      changed.push(lease);
    }
  }
  if (ended.length > 0) {
    await tx.query('UPDATE leases SET released_at = $2 WHERE id = ANY($1)', [ended, now]);
    await tx.query('UPDATE lease_devices SET released = true WHERE lease_id = ANY($1)', [ended]);
    await wakeWaiting(tx);
    await wake(tx, 'dispatch', 'all');
    const released = new Set(rows.filter(({ id }) => ended.includes(id)).map(lease => lease.cluster_id));
    await wakeAll(tx, 'billing', [...released]);
  }
  for (const clusterId of new Set(changed.map(lease => lease.cluster_id))) await wake(tx, 'cluster', clusterId);
  return new Set(changed.map(lease => lease.tenant_id));
}

/** It has ended by itself now, though it is to run. One that never came up may be its spec's fault, and is not held against it. */
const failsBy = ({ phase, desired }: LiveLease, observation: LeaseObservation): boolean =>
  desired && observation.phase === 'exited' && observedNext[phase].includes('exited');

async function advance(tx: Transaction, lease: LiveLease, observation: LeaseObservation, now: Date): Promise<boolean> {
  const moves = observedNext[lease.phase].includes(observation.phase);
  if (!moves && (observation.phase !== lease.phase || observation.message === lease.message)) return false;
  await tx.query(
    `UPDATE leases SET phase = $2, message = $3,
       ready_at = CASE WHEN $2 = 'ready' THEN coalesce(ready_at, $4) ELSE ready_at END,
       exited_at = CASE WHEN $2 = 'exited' THEN coalesce(exited_at, $4) ELSE exited_at END, failed = failed OR $5
     WHERE id = $1`,
    [lease.id, observation.phase, observation.message, now, failsBy(lease, observation)],
  );
  if (moves) await tell(tx, lease, observation);
  return true;
}

async function tell(tx: Transaction, lease: LiveLease, observation: LeaseObservation): Promise<void> {
  const what = lease.role === 'head' ? 'the head' : `worker ${lease.ordinal} of group ${lease.group_name}`;
  const kind = lease.role === 'head' ? 'Head' : 'Worker';
  // A Ray node that was told to end says nothing new by ending, and that of a head is told as the cluster's.
  if (!lease.desired || (kind === 'Head' && observation.phase === 'ready')) return;
  const words = {
    starting: { reason: `${kind}Starting`, message: `${what} of ${lease.cluster_name} is starting` },
    ready: { reason: `${kind}Ready`, message: `${what} of ${lease.cluster_name} is ready` },
    exited: {
      reason: `${kind}Exited`,
      message: `${what} of ${lease.cluster_name} has ended by itself: ${observation.message || 'no reason given'}`,
    },
  } as const;
  await recordEvent(tx, {
    tenantId: lease.tenant_id,
    subjectKind: 'cluster',
    subject: lease.cluster_id,
    ...words[observation.phase],
    severity: observation.phase === 'exited' ? 'warning' : 'info',
  });
}
