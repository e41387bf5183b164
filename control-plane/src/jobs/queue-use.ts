/** What a tenant's jobs hold and how many wait. */
import type { TenantId, TenantQueue } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

type Use = Pick<TenantQueue, 'held' | 'running' | 'waiting'>;

interface Row {
  gpus: number;
  cpus: number;
  memory_bytes: number;
  running: number;
  waiting: number;
}

/** Of one moment: a job that is given its place is counted once, as waiting or as running. */
export async function queueUseOf(db: Queryable, tenantId: TenantId): Promise<Use> {
  // Summed as decimals, so that tenths of accelerators add up to whole ones.
  const { rows } = await db.query<Row>({
    name: 'queue-use',
    text: `SELECT coalesce(sum((a.reserved->>'gpus')::numeric), 0)::float8 AS gpus,
             coalesce(sum((a.reserved->>'cpus')::numeric), 0)::float8 AS cpus,
             coalesce(sum((a.reserved->>'memoryBytes')::numeric), 0)::float8 AS memory_bytes,
             count(a.id) AS running, count(*) FILTER (WHERE j.phase = 'queued') AS waiting
           FROM jobs j LEFT JOIN job_attempts a ON a.job_id = j.id AND a.phase <> 'ended'
           WHERE j.tenant_id = $1 AND j.phase NOT IN ('succeeded', 'failed', 'stopped')
             AND (j.array_size IS NULL OR j.array_id IS NOT NULL)`,
    values: [tenantId],
  });
  const [row] = rows;
  if (!row) throw new Error('an aggregate returned no row');
  return {
    held: { gpus: row.gpus, cpus: row.cpus, memoryBytes: row.memory_bytes },
    running: row.running,
    waiting: row.waiting,
  };
}
