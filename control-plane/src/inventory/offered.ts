/** What machines offer to others, for market prices. */
import type { Device, NodeId } from '@iocloud/contracts';
import { modelOf } from '../core/matching/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import type { PricedMachines } from '../pricing/ports.js';

/**
 * A machine counts from its enrolment until it was removed or, if it is offline now, heard last. What it is, and whether it
 * is offered, is as it stands now.
 */
export const pricedMachines: PricedMachines = {
  offered: async (db: Queryable, from: Date, until: Date) => {
    const { rows } = await db.query<{ id: NodeId; devices: Device[]; seconds: number }>(
      `SELECT * FROM (
         SELECT n.id, n.inventory->'devices' AS devices, floor(extract(epoch FROM
           least($2, n.removed_at, CASE WHEN NOT n.online THEN n.last_heartbeat_at END)
             - greatest($1, n.created_at)))::int AS seconds
         FROM nodes n WHERE n.shared AND n.eligible AND n.inventory IS NOT NULL AND n.created_at < $2
           AND (n.removed_at IS NULL OR n.removed_at > $1) AND (n.online OR n.last_heartbeat_at > $1)) machines
       WHERE seconds > 0 AND jsonb_array_length(devices) > 0 ORDER BY id`,
      [from, until],
    );
    return rows.flatMap(({ id, devices, seconds }) =>
      devices.map(device => ({ nodeId: id, index: device.index, model: modelOf(device), seconds })),
    );
  },

  pricesChanged: async (tx: Transaction) => {
    await tx.query(
      `INSERT INTO machine_changes (node_id)
       SELECT id FROM nodes WHERE terms->>'gpuPricing' = 'market' AND removed_at IS NULL`,
    );
  },
};
