/** Machines that nothing has been heard of, and those of them whose Ray nodes have ended: ports.ts says what each means. */
import type { NodeId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

/** When a node was heard last, of a row of `nodes n`. With PostgreSQL's crash the record is gone: see its migration. */
export const heardAt = `coalesce((SELECT at FROM node_heartbeats h WHERE h.node_id = n.id AND n.online),
  CASE WHEN n.online THEN now() ELSE n.last_heartbeat_at END)`;

export async function silentSince(db: Queryable, seconds: number): Promise<NodeId[]> {
  const { rows } = await db.query<{ id: NodeId }>(
    `SELECT n.id FROM nodes n WHERE removed_at IS NOT NULL
       OR coalesce(${heardAt}, created_at) < now() - make_interval(secs => $1)`,
    [seconds],
  );
  return rows.map(row => row.id);
}

/** More than what a process may still grant after the change is over, as it looks that up anew each second. Seconds. */
const graceMarginSeconds = 60;

/** A machine without an agent has no fence: it is never lost by silence, only once it was removed. */
export async function lostSince(db: Queryable, seconds: number): Promise<NodeId[]> {
  const { rows } = await db.query<{ id: NodeId }>(
    `SELECT n.id FROM nodes n WHERE removed_at IS NOT NULL
       OR provider_id IS NULL AND coalesce(${heardAt}, created_at) < now() - make_interval(secs => $1 + CASE
         WHEN fence_grace_over_at IS NULL OR now() < fence_grace_over_at + make_interval(secs => $1 + fence_grace_seconds + $2)
         THEN fence_grace_seconds ELSE 0 END)`,
    [seconds, graceMarginSeconds],
  );
  return rows.map(row => row.id);
}
