/** The scheduler alone, for tests: jobs as rows that wait, and clusters on whose heads nobody calls. */
import { randomBytes } from 'node:crypto';
import { type JobId, newId, scheduling, type TenantId } from '@iocloud/contracts';
import { queueTermsOf } from '../../accounts/index.js';
import type { Database } from '../../platform/index.js';
import type { Ground } from '../../test-ground.js';
import { Dispatcher } from '../dispatch.js';
import { type TestClusters, testRayVersion } from './clusters.js';

/** A head that nobody calls: no attempt is followed there. */
export const uncalledHead = { host: '127.0.0.1', port: 9, token: '', agent: undefined, jobLog: undefined } as never;

export const schedulerOf = ({ database, log }: Ground, clusters: TestClusters): Dispatcher =>
  new Dispatcher({
    database,
    clusters,
    log,
    random: randomBytes,
    queueTermsOf,
    config: { maxJobsPerCluster: 32, rayVersion: testRayVersion },
    now: Date.now,
  });

export async function insertQueuedJob(database: Database, tenantId: TenantId, cpus: number): Promise<JobId> {
  const id = newId('job', randomBytes);
  const needs = { cpus, gpus: 0, memoryBytes: 0, resources: {}, labelSelector: {} };
  await database.query(
    `INSERT INTO jobs (id, tenant_id, submission_id, submission, needs, scheduling, phase, message, max_attempts, ray_view,
       submitted_at, queue_at)
     VALUES ($1, $2, $1, '{}', $3, $4, 'queued', '', 3, '{}', now(), now())`,
    [id, tenantId, JSON.stringify(needs), JSON.stringify(scheduling.parse({}))],
  );
  return id;
}
