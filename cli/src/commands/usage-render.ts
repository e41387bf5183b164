/** Usage as a person reads it. Pure. */
import type { UsageGrouping, UsageLine, UsageSum } from '@iocloud/contracts';
import { bytes, table } from '../output.js';

const hours = (ms: number) => (ms / 3_600_000).toFixed(4);
const gibHours = (mibSeconds: number) => (mibSeconds / 1_024 / 3_600).toFixed(4);
const heads: Record<UsageGrouping, string> = { cluster: 'cluster', job: 'job', day: 'day' };

export function usageTable(by: UsageGrouping, sums: readonly UsageSum[]): string {
  if (sums.length === 0) return 'nothing was used in this time; a window shows once it is closed (docs/metering.md)';
  return table(
    [heads[by], 'hours', 'gpu-hours', 'held, not billed', 'cpu-hours', 'gib-hours', 'egress'],
    sums.map(sum => [
      sum.name === '' ? '(no job)' : sum.name,
      hours(sum.billableMs),
      hours(sum.deviceBillableMs),
      hours(sum.allocatedMs - sum.billableMs),
      hours(sum.cpuMs),
      gibHours(sum.mibSeconds),
      bytes(sum.egressBytes),
    ]),
  );
}

export function usageLinesTable(lines: readonly UsageLine[]): string {
  if (lines.length === 0) return 'no window is closed yet';
  return table(
    ['id', 'window', 'revision', 'cluster', 'lease', 'hours', 'gpu-hours', 'held', 'source'],
    lines.map(line => [
      String(line.id),
      `${line.windowStart.slice(0, 19)}Z`,
      String(line.revision),
      line.clusterName,
      line.leaseId,
      hours(line.billableMs),
      hours(line.deviceBillableMs),
      hours(line.allocatedMs),
      String(line.evidence.source ?? ''),
    ]),
  );
}
