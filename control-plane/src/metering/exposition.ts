/** Counters of leases in Prometheus' exposition format: cumulative from each lease's beginning, never less than before. */
import type { LeaseId, TenantId } from '@iocloud/contracts';
import { Counter, Gauge, Registry } from 'prom-client';
import { heldUntil } from '../core/metering/index.js';
import type { Database } from '../platform/index.js';
import { agentTotals } from './agent-samples.js';
import { databaseTimeMs } from './meter.js';
import { leasesOnRecord, type RecordPorts } from './record.js';

/** A lease is shown so long after its release, so that what it came to is scraped. */
const shownAfterSeconds = 600;
const labelNames = ['tenant', 'cluster', 'lease', 'role', 'node', 'model'] as const;
const atOnce = 1_000;

/** By what each is divided to be in the unit of its name. */
export const leaseCounters = {
  iocloud_lease_allocated_seconds_total: 'Time for which the lease was held',
  iocloud_lease_available_seconds_total: 'Time for which it was held and worked',
  iocloud_lease_gpu_seconds_allocated_total: 'Accelerators × time held',
  iocloud_lease_gpu_seconds_available_total: 'Accelerators × time held and working',
  iocloud_lease_cpu_seconds_total: 'Processor time of its processes',
  iocloud_lease_memory_gib_seconds_total: 'Resident memory × time, GiB × seconds',
  iocloud_lease_egress_bytes_total: 'Sent out of its network',
} as const;
/** The moment of the figures by the database's clock, by which samples are put right whose scraper's clock is wrong. */
export const clockGauge = 'iocloud_metering_clock_seconds';

/** Series: seven for each lease that is held or was released of late, and one. `tenantId` null: of all. */
export async function leaseMetrics(
  database: Database,
  ports: RecordPorts,
  tenantId: TenantId | null,
): Promise<{ type: string; text: string }> {
  const registry = new Registry();
  const made = Object.entries(leaseCounters).map(
    ([name, help]) => [name, new Counter({ name, help, labelNames, registers: [registry] })] as const,
  );
  const counters = new Map<string, Counter<(typeof labelNames)[number]>>(made);
  const ids = await ports.leases.recent(database, tenantId, shownAfterSeconds);
  // Before the record is read: what becomes known meanwhile is counted next time.
  const nowMs = await databaseTimeMs(database);
  for (let from = 0; from < ids.length; from += atOnce) {
    for (const { labels, values } of await figuresOf(database, ports, ids.slice(from, from + atOnce), nowMs)) {
      for (const [name, value] of Object.entries(values)) counters.get(name)?.inc(labels, value);
    }
  }
  const help = 'When these figures were read, by the clock of the database';
  new Gauge({ name: clockGauge, help, registers: [registry] }).set(nowMs / 1_000);
  return { type: registry.contentType, text: await registry.metrics() };
}

type Values = Record<keyof typeof leaseCounters, number>;

async function figuresOf(database: Database, ports: RecordPorts, ids: LeaseId[], nowMs: number) {
  const machine = await agentTotals(database, ids);
  return (await leasesOnRecord(database, ports, ids)).map(lease => {
    const { allocatedMs, billableMs } = heldUntil(lease.held, nowMs);
    const devices = lease.deviceIndices.length;
    const models = new Set(lease.deviceIndices.map(index => lease.machine.models.get(index) ?? 'unknown'));
    const { cpuMs = 0, mibSeconds = 0, egressBytes = 0 } = machine.get(lease.id) ?? {};
    const values: Values = {
      iocloud_lease_allocated_seconds_total: allocatedMs / 1_000,
      iocloud_lease_available_seconds_total: billableMs / 1_000,
      iocloud_lease_gpu_seconds_allocated_total: (devices * allocatedMs) / 1_000,
      iocloud_lease_gpu_seconds_available_total: (devices * billableMs) / 1_000,
      iocloud_lease_cpu_seconds_total: cpuMs / 1_000,
      iocloud_lease_memory_gib_seconds_total: mibSeconds / 1_024,
      iocloud_lease_egress_bytes_total: egressBytes,
    };
    const labels = {
      tenant: lease.tenantId,
      cluster: lease.clusterId,
      lease: lease.id,
      role: lease.role,
      node: lease.nodeId,
      model: [...models].sort().join(', '),
    };
    return { labels, values };
  });
}
