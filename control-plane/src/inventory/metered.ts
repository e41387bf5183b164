/** What of machines is metered. */
import type { Inventory, NodeId, TenantId } from '@iocloud/contracts';
import type { MeteredMachines } from '../metering/ports.js';
import { heardAt } from './silent-nodes.js';

export const meteredMachines: MeteredMachines = {
  read: async (db, nodeIds) => {
    const { rows } = await db.query<{
      id: NodeId;
      tenant_id: TenantId;
      heard_at: Date;
      devices: Inventory['devices'] | null;
    }>({
      name: 'metered-machines',
      text: `SELECT n.id, n.tenant_id, coalesce(${heardAt}, n.created_at) AS heard_at, n.inventory->'devices' AS devices
             FROM nodes n WHERE n.id = ANY($1)`,
      values: [nodeIds],
    });
    return new Map(
      rows.map(row => [
        row.id,
        {
          tenantId: row.tenant_id,
          heardMs: row.heard_at.getTime(),
          models: new Map((row.devices ?? []).map(({ index, model }) => [index, model])),
        },
      ]),
    );
  },
};
