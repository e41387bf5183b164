/** What clusters ask of jobs: is anything running there, since when is nothing; and what they tell them. */
import type { ClusterId, TenantId } from '@iocloud/contracts';
import type { ClusterActivity } from '../clusters/ports.js';
import { recordEvents } from '../events/index.js';
import { evictCluster, wakeAttempts } from './attempts/index.js';

/** The end of the last job is known even when the job itself has been deleted. */
export const clusterActivity: ClusterActivity = {
  async of(db, clusterIds) {
    const { rows } = await db.query<{ id: ClusterId; live: number; last_ended_at: Date | null }>(
      `SELECT c.id,
         (SELECT count(*)::int FROM job_attempts a WHERE a.cluster_id = c.id AND a.phase <> 'ended') AS live,
         (SELECT max(r.ended_at) FROM ray_submission_ids r WHERE r.cluster_id = c.id) AS last_ended_at
       FROM unnest($1::text[]) AS c (id)`,
      [clusterIds],
    );
    return new Map(rows.map(row => [row.id, { live: row.live, lastEndedAt: row.last_ended_at }]));
  },
  evict: evictCluster,
  headLost: wakeAttempts,
  async tell(tx, clusterIds, news) {
    const { rows } = await tx.query<{ tenant_id: TenantId; submission_id: string }>(
      `SELECT j.tenant_id, j.submission_id FROM job_attempts a JOIN jobs j ON j.id = a.job_id
       WHERE a.cluster_id = ANY($1) AND a.phase <> 'ended'`,
      [clusterIds],
    );
    await recordEvents(
      tx,
      rows.map(row => ({ tenantId: row.tenant_id, subjectKind: 'job', subject: row.submission_id, ...news })),
    );
  },
};
