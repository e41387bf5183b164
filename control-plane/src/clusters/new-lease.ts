/** Makes a lease: what its machine is told, what it holds there, what it costs and what pays for it. */
import { isAbsolute, join } from 'node:path';
import { newId, type TenantId } from '@iocloud/contracts';
import type { Transaction } from '../platform/index.js';
import type { NewLease } from './facts.js';
import type { ClusterRow, StoredLeaseSpec } from './store.js';

interface Wiring {
  random(n: number): Uint8Array;
  checkpointRoot: string;
}

export async function insertLease(
  tx: Transaction,
  wiring: Wiring,
  row: ClusterRow,
  lease: NewLease,
  now: Date,
  orderId: string | null,
): Promise<void> {
  const { place } = lease;
  const id = newId('lease', wiring.random);
  const spec: StoredLeaseSpec = {
    leaseId: id,
    clusterId: row.id,
    role: place.role,
    group: place.group,
    ordinal: place.ordinal,
    rayVersion: row.spec.rayVersion,
    nodeIp: lease.nodeIp,
    headIp: lease.headIp,
    cpus: place.needs.cpus,
    memoryBytes: lease.memoryBytes,
    deviceIndices: lease.deviceIndices,
    resources: place.needs.resources,
    labels: { ...lease.rayLabels, ...place.needs.labels },
    ...checkpointsOf(wiring.checkpointRoot, row.tenant_id),
  };
  await tx.query(
    `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, cpus, memory_bytes, spec,
       simulated, created_at, micro_usd_per_hour, order_id, price_basis)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
    [
      id,
      row.tenant_id,
      row.id,
      lease.nodeId,
      place.role,
      place.group,
      place.ordinal,
      place.needs.cpus,
      lease.memoryBytes,
      JSON.stringify(spec),
      lease.simulated,
      now,
      lease.microUsdPerHour,
      lease.isOwn || lease.microUsdPerHour === 0 ? null : orderId,
      JSON.stringify(basisOf(lease)),
    ],
  );
  await tx.query('INSERT INTO lease_devices (lease_id, node_id, device_index) SELECT $1, $2, unnest($3::int[])', [
    id,
    lease.nodeId,
    lease.deviceIndices,
  ]);
}

/** With the amounts that the prices were multiplied by. */
const basisOf = ({ place, deviceIndices, priceBasis }: NewLease) =>
  priceBasis === null ? {} : { ...priceBasis, cpus: place.needs.cpus, gpus: deviceIndices.length };

/** An object store needs nothing of the machine. */
function checkpointsOf(root: string, tenantId: TenantId): Pick<StoredLeaseSpec, 'checkpointDir' | 'checkpointRoot'> {
  if (!isAbsolute(root)) return { checkpointDir: null, checkpointRoot: null };
  return { checkpointDir: join(root, tenantId), checkpointRoot: root };
}
