/** POST /v1/jobs/{id}/rating: what a renter thinks of how a job went counts for the machine that it ended on. */
import { api, type LeaseId } from '@iocloud/contracts';
import type { Clusters } from '../clusters/ports.js';
import type { Reputation } from '../inventory/ports.js';
import { type Database, Failure, type Http } from '../platform/index.js';
import { withAttempts } from './listing.js';
import { isTerminal } from './states.js';
import { findJob, lockJob, recordJobEvent, withoutNul } from './store.js';

interface Wiring {
  database: Database;
  clusters: Clusters;
  reputation: Reputation;
  /** Milliseconds since the epoch. */
  now(): number;
}

export function ratingRoutes(http: Http, { database, clusters, reputation, now }: Wiring): void {
  http.handle(api.rateJob, async ({ caller, params, body }) => {
    const found = await findJob(database, caller.tenantId, params.submissionId);
    if (!found) throw new Failure('not-found', `no job ${params.submissionId} exists`);
    const [job] = await database.transaction(async tx => {
      const row = await lockJob(tx, found.id);
      if (!row) throw new Failure('not-found', `no job ${params.submissionId} exists`);
      const name = row.submission_id;
      if (!isTerminal(row.phase)) {
        throw new Failure('conflict', `${name} is ${row.phase}: it can be rated when it has ended`);
      }
      const { rows } = await tx.query<{ head_lease_id: LeaseId }>(
        'SELECT head_lease_id FROM job_attempts WHERE job_id = $1 ORDER BY number DESC LIMIT 1',
        [row.id],
      );
      if (!rows[0]) throw new Failure('conflict', `${name} ended before it ran anywhere: there is nothing to rate`);
      const { rowCount } = await tx.query(
        'INSERT INTO job_ratings (job_id, stars, comment, user_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
        [row.id, body.stars, withoutNul(body.comment), caller.userId],
      );
      if (rowCount !== 1) throw new Failure('conflict', `${name} has been rated already`);
      const { nodeId } = await clusters.machineOf(tx, rows[0].head_lease_id);
      const evidence = { kind: 'rated', stars: body.stars } as const;
      await reputation.record(tx, nodeId, caller.tenantId, evidence, new Date(now()));
      await recordJobEvent(tx, row, 'JobRated', `${caller.userId} gave it ${body.stars} of 5 stars`);
      return withAttempts(tx, caller.tenantId, [row]);
    });
    if (!job) throw new Error('one row makes one job');
    return job;
  });
}
