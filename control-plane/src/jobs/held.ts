/** Attempts that held something of clusters in a time: for what explains an invoice. */
import type { ClusterId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

export interface HeldAttempt {
  clusterId: ClusterId;
  submissionId: string;
  /** As its head knows it. */
  raySubmissionId: string;
  number: number;
  gpus: number;
  startedAt: Date;
  /** Null: it goes on. */
  endedAt: Date | null;
}

/** Those of jobs that their tenant has not deleted. */
export async function heldAttempts(
  db: Queryable,
  clusterIds: readonly ClusterId[],
  from: Date,
  until: Date,
): Promise<HeldAttempt[]> {
  const { rows } = await db.query<{
    cluster_id: ClusterId;
    submission_id: string;
    ray_submission_id: string;
    number: number;
    gpus: number;
    started_at: Date;
    ended_at: Date | null;
  }>(
    `SELECT a.cluster_id, j.submission_id, a.ray_submission_id, a.number,
       coalesce((a.reserved->>'gpus')::float8, 0) AS gpus, a.started_at, a.ended_at
     FROM job_attempts a JOIN jobs j ON j.id = a.job_id
     WHERE a.cluster_id = ANY ($1) AND a.started_at < $3 AND (a.ended_at IS NULL OR a.ended_at > $2)
     ORDER BY a.started_at, a.id`,
    [clusterIds, from, until],
  );
  return rows.map(row => ({
    clusterId: row.cluster_id,
    submissionId: row.submission_id,
    raySubmissionId: row.ray_submission_id,
    number: row.number,
    gpus: row.gpus,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  }));
}
