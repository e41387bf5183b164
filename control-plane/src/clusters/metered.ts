/** What of leases is metered. */
import type { ClusterId, LeaseId, NodeId, TenantId } from '@iocloud/contracts';
import type { LeaseTimes, MeteredLeases } from '../metering/ports.js';

interface TimesRow {
  id: LeaseId;
  cluster_id: ClusterId;
  node_id: NodeId;
  ready_at: Date | null;
  exited_at: Date | null;
  released_at: Date | null;
}
const timesOf = (row: TimesRow): LeaseTimes => ({
  id: row.id,
  clusterId: row.cluster_id,
  nodeId: row.node_id,
  readyMs: row.ready_at?.getTime() ?? null,
  exitedMs: row.exited_at?.getTime() ?? null,
  releasedMs: row.released_at?.getTime() ?? null,
});
const times = 'l.id, l.cluster_id, l.node_id, l.ready_at, l.exited_at, l.released_at';

export const meteredLeases: MeteredLeases = {
  read: async (db, leaseIds) => {
    const { rows } = await db.query<
      TimesRow & { tenant_id: TenantId; role: 'head' | 'worker'; created_at: Date; devices: number[] }
    >({
      name: 'metered-leases',
      text: `SELECT ${times}, l.tenant_id, l.role, l.created_at,
               ARRAY(SELECT device_index FROM lease_devices d WHERE d.lease_id = l.id ORDER BY 1) AS devices
             FROM leases l WHERE l.id = ANY($1) ORDER BY l.id`,
      values: [leaseIds],
    });
    return rows.map(row => ({
      ...timesOf(row),
      tenantId: row.tenant_id,
      role: row.role,
      createdMs: row.created_at.getTime(),
      deviceIndices: row.devices,
    }));
  },

  recent: async (db, tenantId, releasedSeconds) => {
    const { rows } = await db.query<{ id: LeaseId }>(
      `SELECT id FROM leases WHERE ($1::text IS NULL OR tenant_id = $1)
         AND (released_at IS NULL OR released_at > now() - make_interval(secs => $2)) ORDER BY id`,
      [tenantId, releasedSeconds],
    );
    return rows.map(({ id }) => id);
  },

  heads: async (db, clusterIds) => {
    const { rows } = await db.query<TimesRow>({
      name: 'metered-heads',
      text: `SELECT ${times} FROM leases l WHERE l.cluster_id = ANY($1) AND l.role = 'head' ORDER BY l.id`,
      values: [clusterIds],
    });
    return rows.map(timesOf);
  },

  answered: async (db, clusterIds) => {
    const { rows } = await db.query<{ cluster_id: ClusterId; read_at: Date }>({
      name: 'metered-answers',
      text: 'SELECT cluster_id, read_at FROM cluster_loads WHERE cluster_id = ANY($1)',
      values: [clusterIds],
    });
    return new Map(rows.map(row => [row.cluster_id, row.read_at.getTime()]));
  },
};
