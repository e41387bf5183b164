/** When which jobs ran on clusters, for their share of what these used. */
import type { ClusterId, TenantId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

export interface AttemptTime {
  clusterId: ClusterId;
  submissionId: string;
  startedMs: number;
  /** Null: it runs. */
  endedMs: number | null;
}

/** Attempts of a tenant that ran in this time. */
export async function attemptTimes(db: Queryable, tenantId: TenantId, from: Date, until: Date): Promise<AttemptTime[]> {
  const { rows } = await db.query<{
    cluster_id: ClusterId;
    submission_id: string;
    started_at: Date;
    ended_at: Date | null;
  }>(
    `SELECT a.cluster_id, j.submission_id, a.started_at, a.ended_at FROM jobs j JOIN job_attempts a ON a.job_id = j.id
     WHERE j.tenant_id = $1 AND a.started_at < $3 AND coalesce(a.ended_at > $2, true) ORDER BY a.started_at, a.id`,
    [tenantId, from, until],
  );
  return rows.map(row => ({
    clusterId: row.cluster_id,
    submissionId: row.submission_id,
    startedMs: row.started_at.getTime(),
    endedMs: row.ended_at?.getTime() ?? null,
  }));
}
