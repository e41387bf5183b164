/** What a tenant reads of its usage: lines, and sums of them. */
import type {
  ClusterId,
  ExportedUsageEvent,
  LeaseId,
  NodeId,
  TenantId,
  UsageGrouping,
  UsageLine,
  UsageSum,
} from '@iocloud/contracts';
import { type Amounts, combine, nothing, type Run, sharesOf } from '../core/metering/index.js';
import type { Queryable } from '../platform/index.js';
import { type AmountsRow, amountsOf, sumsOf } from './amounts-row.js';

interface LineRow extends AmountsRow {
  id: number;
  lease_id: LeaseId;
  cluster_id: ClusterId;
  cluster_name: string;
  node_id: NodeId;
  window_start: Date;
  window_seconds: number;
  revision: number;
  evidence: Record<string, unknown>;
  at: Date;
}

/** In the order in which they were written, which is that of their numbers: lines are written one transaction at a time. */
export async function usageLines(
  db: Queryable,
  tenantId: TenantId,
  query: { after?: string | undefined; limit: number; clusterId?: ClusterId | undefined },
): Promise<UsageLine[]> {
  const { rows } = await db.query<LineRow>({
    name: 'usage-lines',
    text: `SELECT u.*, l.cluster_id, c.name AS cluster_name, l.node_id
           FROM usage_lines u JOIN leases l ON l.id = u.lease_id JOIN clusters c ON c.id = l.cluster_id
           WHERE l.tenant_id = $1 AND u.id > $2 AND ($3::text IS NULL OR l.cluster_id = $3) ORDER BY u.id LIMIT $4`,
    values: [tenantId, query.after ?? '0', query.clusterId ?? null, query.limit],
  });
  return rows.map(row => ({
    ...amountsOf(row),
    id: row.id,
    leaseId: row.lease_id,
    clusterId: row.cluster_id,
    clusterName: row.cluster_name,
    nodeId: row.node_id,
    windowStart: row.window_start.toISOString(),
    windowSeconds: row.window_seconds,
    revision: row.revision,
    evidence: row.evidence,
    at: row.at.toISOString(),
  }));
}

export const asEvent = (line: UsageLine, tenantId: TenantId): ExportedUsageEvent => ({
  specversion: '1.0',
  id: `usage-line-${line.id}`,
  source: '/v1/usage/lines',
  type: 'iocloud.usage.line.v1',
  subject: line.leaseId,
  time: line.at,
  datacontenttype: 'application/json',
  data: { ...line, tenantId },
});

export type Attempts = (
  db: Queryable,
  tenantId: TenantId,
  from: Date,
  until: Date,
) => Promise<{ clusterId: ClusterId; submissionId: string; startedMs: number; endedMs: number | null }[]>;

interface SumRow extends AmountsRow {
  cluster_id: ClusterId;
  cluster_name: string;
  window_start: Date;
  window_seconds: number;
}

/** Of windows that begin in this time, the most used first; days in their order. */
export async function usageSums(
  db: Queryable,
  attempts: Attempts,
  tenantId: TenantId,
  { by, from, until }: { by: UsageGrouping; from: Date; until: Date },
): Promise<UsageSum[]> {
  // By job each window counts for itself; else one row a cluster and day will do.
  const window = by === 'job' ? 'u.window_start' : `date_trunc('day', u.window_start, 'UTC')`;
  const { rows } = await db.query<SumRow>(
    `SELECT l.cluster_id, c.name AS cluster_name, ${window} AS window_start, max(u.window_seconds) AS window_seconds,
       ${sumsOf('u')}
     FROM leases l JOIN usage_lines u ON u.lease_id = l.id JOIN clusters c ON c.id = l.cluster_id
     WHERE l.tenant_id = $1 AND u.window_start >= $2 AND u.window_start < $3 GROUP BY 1, 2, 3 ORDER BY 3, 1`,
    [tenantId, from, until],
  );
  const found = new Map<string, { name: string; amounts: Amounts }>();
  const add = (key: string, name: string, amounts: Amounts) => {
    found.set(key, { name, amounts: combine(found.get(key)?.amounts ?? nothing, amounts, 1) });
  };
  const runs = new Map<ClusterId, Run[]>();
  if (by === 'job') {
    const latest = new Date(until.getTime() + 3_600_000);
    for (const { clusterId, submissionId, ...times } of await attempts(db, tenantId, from, latest)) {
      runs.set(clusterId, [...(runs.get(clusterId) ?? []), { job: submissionId, ...times }]);
    }
  }
  for (const row of rows) {
    const amounts = amountsOf(row);
    const day = row.window_start.toISOString().slice(0, 10);
    if (by === 'cluster') add(row.cluster_id, row.cluster_name, amounts);
    else if (by === 'day') add(day, day, amounts);
    else {
      const fromMs = row.window_start.getTime();
      const ofCluster = runs.get(row.cluster_id) ?? [];
      const shares = sharesOf(amounts, fromMs, fromMs + row.window_seconds * 1_000, ofCluster);
      for (const [job, share] of shares) add(job, job, share);
    }
  }
  const items = [...found].map(([key, { name, amounts }]) => ({ key, name, ...amounts }));
  return by === 'day' ? items : items.sort((left, right) => right.billableMs - left.billableMs);
}
