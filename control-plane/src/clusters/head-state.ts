/** Where the heads are that jobs run on, and whether they can be reached. */
import { heartbeatTimeoutMs, type LeaseId, type LeasePhase, type NodeId } from '@iocloud/contracts';
import { inOrderOf, lookUp } from '../platform/index.js';
import type { LoopWiring } from './loop.js';
import type { Clusters } from './ports.js';

interface HeadLease {
  id: LeaseId;
  node_id: NodeId;
  phase: LeasePhase;
  desired: boolean;
  released: boolean;
}

/** A transaction sees the lease as it is; a machine that is not heard of may or may not still run the head. */
export function headState({ machines }: Pick<LoopWiring, 'machines'>): Clusters['headState'] {
  const find = lookUp<LeaseId, HeadLease & { silent: boolean }>(async (db, ids) => {
    const { rows } = await db.query<HeadLease>({
      name: 'head-leases',
      text: 'SELECT id, node_id, phase, desired, released_at IS NOT NULL AS released FROM leases WHERE id = ANY($1)',
      values: [ids],
    });
    const silent = new Set(await machines.silentSince(db, heartbeatTimeoutMs / 1000));
    const leases = rows.map(lease => ({ ...lease, silent: silent.has(lease.node_id) }));
    return inOrderOf(ids, leases, lease => lease.id);
  });
  return async (db, headLeaseId) => {
    const lease = await find(db, headLeaseId);
    if (lease?.phase === 'lost') return 'lost';
    if (!lease || lease.released || !lease.desired || lease.phase === 'exited') return 'gone';
    return lease.phase !== 'ready' || lease.silent ? 'unreachable' : 'ready';
  };
}

export const machineOf: Clusters['machineOf'] = async (db, headLeaseId) => {
  const { rows } = await db.query<{ node_id: NodeId; failed: boolean }>({
    name: 'machine-of-head',
    text: 'SELECT node_id, failed FROM leases WHERE id = $1',
    values: [headLeaseId],
  });
  if (!rows[0]) throw new Error(`no lease ${headLeaseId}`);
  return { nodeId: rows[0].node_id, failed: rows[0].failed };
};
