/** The product's own tables with what a backlog needs around it: tenants, one machine, a cluster with a head for each tenant. */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';

const migrations = new URL('../../../control-plane/migrations/', import.meta.url);

export async function prepare(client: pg.Client, tenants: string[]): Promise<void> {
  for (const name of (await readdir(fileURLToPath(migrations))).filter(each => each.endsWith('.sql')).sort()) {
    await client.query(await readFile(new URL(name, migrations), 'utf8'));
  }
  await client.query(`INSERT INTO tenants (id, name) SELECT id, id FROM unnest($1::text[]) id`, [tenants]);
  await client.query(`INSERT INTO nodes (id, tenant_id, name, public_key) VALUES ('node', $1, 'node', 'key')`, [
    tenants[0],
  ]);
  await client.query(
    `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token)
     SELECT 'cluster-' || id, id, 'cluster', '{}', 'job', 'running', 'ready', '\\x00' FROM unnest($1::text[]) id`,
    [tenants],
  );
  await client.query(
    `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, cpus, memory_bytes, spec)
     SELECT 'lease-' || id, id, 'cluster-' || id, 'node', 'head', 'head', 0, 1, 1, '{}' FROM unnest($1::text[]) id`,
    [tenants],
  );
}

/** What Ray's list says of a job, about as long as it is. */
const view = (id: string, status: string) =>
  JSON.stringify({
    type: 'SUBMISSION',
    job_id: null,
    submission_id: id,
    driver_info: null,
    status,
    entrypoint: 'python train.py',
    message: 'Starting on cluster cluster.',
    error_type: null,
    start_time: 1_795_000_000_000,
    end_time: null,
    metadata: { 'io.priority': 'normal' },
    runtime_env: { working_dir: 'gcs://_ray_pkg_0123456789abcdef.zip' },
    driver_agent_http_address: null,
    driver_node_id: null,
    driver_exit_code: null,
  });

export async function enqueue(client: pg.Client, jobs: { id: string; tenantId: string }[]): Promise<void> {
  for (let at = 0; at < jobs.length; at += 5_000) {
    const part = jobs.slice(at, at + 5_000);
    await client.query(
      `INSERT INTO jobs (id, tenant_id, submission_id, submission, needs, scheduling, phase, message, max_attempts, ray_view,
         submitted_at, queue_at)
       SELECT id, tenant, id, '{"entrypoint":"python train.py"}', '{"cpus":1,"gpus":1}', '{"priority":"normal"}', 'queued',
         'Waiting.', 3, view, now(), now()
       FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, tenant, view)`,
      [part.map(({ id }) => id), part.map(({ tenantId }) => tenantId), part.map(({ id }) => view(id, 'PENDING'))],
    );
  }
}

export interface Change {
  jobId: string;
  tenantId: string;
  attempt: number;
}

export interface End extends Change {
  /** Told to stop for others: the job waits again. */
  preempted: boolean;
}

/**
 * Makes one step durable in one transaction, as the product would: an attempt, the job's state, its event and a wake-up for
 * each admission; the end of the attempt, the job's state and its event for each that has ended.
 */
export async function write(client: pg.Client, admitted: Change[], ended: End[]): Promise<void> {
  const columns = (changes: Change[]) => [
    changes.map(({ jobId }) => jobId),
    changes.map(({ tenantId }) => tenantId),
    changes.map(({ attempt }) => attempt),
  ];
  await client.query('BEGIN');
  if (ended.length > 0) {
    await client.query({
      name: 'end',
      text: `WITH t AS (
               SELECT *, CASE WHEN preempted THEN 'Preempted.' ELSE 'Job finished successfully.' END AS message
               FROM unnest($1::text[], $2::text[], $3::int[], $4::bool[]) AS t (id, tenant, attempt, preempted)),
               a AS (UPDATE job_attempts SET phase = 'ended', ended_at = now(), log_complete = true,
                            outcome = CASE WHEN t.preempted THEN 'lost' ELSE 'succeeded' END
                     FROM t WHERE job_attempts.id = t.id || '.' || t.attempt),
               j AS (UPDATE jobs SET phase = CASE WHEN t.preempted THEN 'queued' ELSE 'succeeded' END, message = t.message,
                            evicted_count = evicted_count + t.preempted::int,
                            ended_at = CASE WHEN t.preempted THEN NULL ELSE now() END
                     FROM t WHERE jobs.id = t.id)
             INSERT INTO events (tenant_id, subject_kind, subject, reason, message, severity)
             SELECT tenant, 'job', id, CASE WHEN preempted THEN 'JobRequeued' ELSE 'JobSucceeded' END, message, 'info' FROM t`,
      values: [...columns(ended), ended.map(({ preempted }) => preempted)],
    });
  }
  if (admitted.length > 0) {
    await client.query({
      name: 'admit',
      text: `WITH t AS (SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) AS t (id, tenant, attempt, view)),
               a AS (INSERT INTO job_attempts (id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, reserved)
                     SELECT id || '.' || attempt, id, attempt, 'cluster-' || tenant, 'lease-' || tenant, id, 'assigned',
                            '{"cpus":1,"gpus":1,"memoryBytes":0,"resources":{}}' FROM t),
               j AS (UPDATE jobs SET phase = 'assigned', cluster_id = 'cluster-' || t.tenant, attempt_count = t.attempt,
                            message = 'Starting on cluster cluster.', ray_view = t.view FROM t WHERE jobs.id = t.id),
               o AS (INSERT INTO outbox (topic, key) SELECT 'attempt', id || '.' || attempt FROM t)
             INSERT INTO events (tenant_id, subject_kind, subject, reason, message, severity)
             SELECT tenant, 'job', id, 'JobAssigned', 'attempt ' || attempt || ' goes to cluster cluster', 'info' FROM t`,
      values: [...columns(admitted), admitted.map(({ jobId }) => view(jobId, 'PENDING'))],
    });
  }
  await client.query('COMMIT');
}
