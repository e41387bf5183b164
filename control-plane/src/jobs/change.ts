/** PATCH /v1/jobs/{id}: the renter changes priority or requirements of a job that still waits. */
import { api, arrayMetadataKeys } from '@iocloud/contracts';
import type { Clusters } from '../clusters/ports.js';
import { type Database, Failure, type Http, type Signals, wake } from '../platform/index.js';
import { admit } from './admission.js';
import type { FindMega } from './entrances.js';
import { withAttempts } from './listing.js';
import type { QuotaGate } from './quota-gate.js';
import { changeAsked, findJob, isArray, type JobRow, lockJob, queueAt, recordJobEvent } from './store.js';

interface Wiring {
  database: Database;
  clusters: Clusters;
  signals: Signals;
  quotas: QuotaGate;
  megaNamed: FindMega;
}

export function jobChangeRoutes(http: Http, { database, clusters, signals, quotas, megaNamed }: Wiring): void {
  http.handle(api.changeJob, async ({ caller, params, body }) => {
    const found = await findJob(database, caller.tenantId, params.submissionId);
    if (!found) throw new Failure('not-found', `no job ${params.submissionId} exists`);
    const [job] = await database.transaction(async tx => {
      const row = await lockJob(tx, found.id);
      if (!row) throw new Failure('not-found', `no job ${params.submissionId} exists`);
      if (row.phase !== 'queued') {
        throw new Failure('conflict', `${row.submission_id} is ${row.phase}: only a job that waits can be changed`);
      }
      refuseArrays(row, Object.keys(body.metadata));
      const merged = Object.entries({ ...row.submission.metadata, ...body.metadata });
      const metadata = Object.fromEntries(merged.filter(([, text]) => text !== null)) as Record<string, string>;
      // The same checks as for a new submission, of the whole: keys depend on one another.
      const asked = await admit(
        { database: tx, clusters, quotas, megaNamed },
        caller.tenantId,
        JSON.stringify({ ...row.submission, metadata }),
      );
      if (asked.maxAttempts <= row.attempt_count) {
        const words = `${row.attempt_count} attempts have been made already`;
        throw new Failure('bad-request', `metadata key io.max_attempts: ${words}: it must be more than that`);
      }
      const changed = await changeAsked(tx, row, {
        submission: asked.body,
        needs: asked.needs,
        scheduling: asked.scheduling,
        queue_at: queueAt(row.submitted_at, asked.scheduling),
        wanted_cluster: asked.wantedCluster,
        max_attempts: asked.maxAttempts,
      });
      const words = Object.entries(body.metadata).map(([key, text]) => `${key}=${text ?? '(none)'}`);
      await recordJobEvent(tx, row, 'JobChanged', `${caller.userId} changed ${words.join(', ')}`);
      await wake(tx, 'dispatch', 'all');
      return withAttempts(tx, caller.tenantId, [changed]);
    });
    signals.send(`job:${found.id}`);
    signals.send(`events:${caller.tenantId}`);
    if (!job) throw new Error('one row makes one job');
    return job;
  });
}

/** How many indices there are is said once; and they are jobs of their own, which are changed one by one. */
function refuseArrays(row: JobRow, keys: string[]): void {
  if (isArray(row)) {
    throw new Failure(
      'conflict',
      `${row.submission_id} is an array: change its indices, such as ${row.submission_id}.0`,
    );
  }
  const named = keys.find(key => (arrayMetadataKeys as string[]).includes(key));
  if (named) throw new Failure('bad-request', `metadata key ${named}: only a submission can make an array`);
}
