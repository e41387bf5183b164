/** Usage as it stands in `usage_lines`. */
import type { Amounts } from '../core/metering/index.js';

export interface AmountsRow {
  billable_ms: number;
  allocated_ms: number;
  device_billable_ms: number;
  device_allocated_ms: number;
  cpu_ms: number;
  mib_seconds: number;
  egress_bytes: number;
}

export const amountsOf = (row: AmountsRow): Amounts => ({
  billableMs: row.billable_ms,
  allocatedMs: row.allocated_ms,
  deviceBillableMs: row.device_billable_ms,
  deviceAllocatedMs: row.device_allocated_ms,
  cpuMs: row.cpu_ms,
  mibSeconds: row.mib_seconds,
  egressBytes: row.egress_bytes,
});

const columns: readonly (keyof AmountsRow)[] = [
  ...(['billable_ms', 'allocated_ms', 'device_billable_ms', 'device_allocated_ms'] as const),
  ...(['cpu_ms', 'mib_seconds', 'egress_bytes'] as const),
];

/** For a SELECT over the table under this alias. */
export const sumsOf = (alias: string): string =>
  columns.map(column => `sum(${alias}.${column})::bigint AS ${column}`).join(', ');
