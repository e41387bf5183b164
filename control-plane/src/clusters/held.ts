/** What of machines' accelerators was leased, for market prices. */
import type { NodeId } from '@iocloud/contracts';
import type { PricedLeases } from '../pricing/ports.js';

/** From when a lease was made until it was released; an accelerator is in one at a time. */
export const pricedLeases: PricedLeases = {
  held: async (db, from, until) => {
    const { rows } = await db.query<{ node_id: NodeId; device_index: number; seconds: number }>(
      `SELECT d.node_id, d.device_index, floor(extract(epoch FROM
         sum(least($2, l.released_at) - greatest($1, l.created_at))))::int AS seconds
       FROM leases l JOIN lease_devices d ON d.lease_id = l.id
       WHERE l.created_at < $2 AND (l.released_at IS NULL OR l.released_at > $1)
       GROUP BY d.node_id, d.device_index ORDER BY d.node_id, d.device_index`,
      [from, until],
    );
    return rows.map(row => ({ nodeId: row.node_id, index: row.device_index, seconds: row.seconds }));
  },
};
