import type { ClusterId, LeaseId, NodeId, UsageLine } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { usageLinesTable, usageTable } from './usage-render.js';

const amounts = {
  billableMs: 1_800_000,
  allocatedMs: 3_600_000,
  deviceBillableMs: 3_600_000,
  deviceAllocatedMs: 7_200_000,
  cpuMs: 360_000,
  mibSeconds: 1_024 * 3_600,
  egressBytes: 2_048,
};

test('usage is shown in hours, with what was held and is not billed', () => {
  const [head, row] = usageTable('cluster', [{ key: 'cl_1', name: 'train', ...amounts }]).split('\n');
  expect(head).toMatch(/^CLUSTER +HOURS +GPU-HOURS +HELD, NOT BILLED +CPU-HOURS +GIB-HOURS +EGRESS$/);
  expect(row).toMatch(/^train +0\.5000 +1\.0000 +0\.5000 +0\.1000 +1\.0000 +2 KiB$/);
  expect(usageTable('job', [{ key: '', name: '', ...amounts }])).toContain('(no job)');
  expect(usageTable('day', [])).toContain('nothing was used');
});

test('a correcting line shows its difference and its revision', () => {
  const line: UsageLine = {
    ...{ ...amounts, billableMs: -1_800_000 },
    ...{
      id: 9,
      leaseId: 'ls_1' as LeaseId,
      clusterId: 'cl_1' as ClusterId,
      clusterName: 'train',
      nodeId: 'nd_1' as NodeId,
    },
    ...{ windowStart: '2026-11-27T02:00:00.000Z', windowSeconds: 3_600, revision: 1, at: '2026-11-27T03:01:00.000Z' },
    evidence: { source: 'prometheus' },
  };
  expect(usageLinesTable([line]).split('\n')[1]).toMatch(
    /^9 +2026-11-27T02:00:00Z +1 +train +ls_1 +-0\.5000 +1\.0000 +1\.0000 +prometheus$/,
  );
  expect(usageLinesTable([])).toBe('no window is closed yet');
});
