/** What a lease was: for whom, of which cluster, on which machine. For invoices and what explains them. */
import type { ClusterId, LeaseId, NodeId, TenantId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

export interface LeaseFacts {
  tenantId: TenantId;
  clusterId: ClusterId;
  clusterName: string;
  nodeId: NodeId;
  nodeName: string;
  /** Of its accelerators; empty where it has none. */
  model: string;
  microUsdPerHour: number;
  /** What the price was made of; empty where that is not on record. */
  priceBasis: Record<string, unknown>;
}

export async function leaseFacts(db: Queryable, leaseIds: readonly LeaseId[]): Promise<Map<LeaseId, LeaseFacts>> {
  const { rows } = await db.query<{
    id: LeaseId;
    tenant_id: TenantId;
    cluster_id: ClusterId;
    cluster_name: string;
    node_id: NodeId;
    node_name: string;
    model: string | null;
    micro_usd_per_hour: number;
    price_basis: Record<string, unknown>;
  }>(
    `SELECT l.id, l.tenant_id, l.cluster_id, c.name AS cluster_name, l.node_id, n.name AS node_name, l.micro_usd_per_hour,
       l.price_basis,
       (SELECT string_agg(DISTINCT device->>'model', ', ' ORDER BY device->>'model')
        FROM lease_devices d JOIN jsonb_array_elements(n.inventory->'devices') AS device
          ON (device->>'index')::int = d.device_index
        WHERE d.lease_id = l.id) AS model
     FROM leases l JOIN clusters c ON c.id = l.cluster_id JOIN nodes n ON n.id = l.node_id WHERE l.id = ANY ($1)`,
    [leaseIds],
  );
  return new Map(
    rows.map(row => [
      row.id,
      {
        tenantId: row.tenant_id,
        clusterId: row.cluster_id,
        clusterName: row.cluster_name,
        nodeId: row.node_id,
        nodeName: row.node_name,
        model: row.model ?? '',
        microUsdPerHour: row.micro_usd_per_hour,
        priceBasis: row.price_basis,
      },
    ]),
  );
}
