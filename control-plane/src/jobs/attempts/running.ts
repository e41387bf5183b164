/** What runs, as the scheduler sees it: each attempt about which something can be decided, and the sum of the others. */
import type { AttemptId, ClusterId, JobId, Scheduling, TenantId } from '@iocloud/contracts';
import type { Amounts, OtherWork, RunningJob, Stop } from '../../core/queueing/index.js';
import type { Transaction } from '../../platform/index.js';
import type { Eviction } from './eviction.js';

/** The work that holds anything of a cluster, until it has ended for certain. */
export async function readRunning(tx: Transaction): Promise<{ running: RunningJob[]; others: OtherWork[] }> {
  return { running: await readSteerable(tx), others: await readOthers(tx) };
}

interface SteerableRow {
  id: AttemptId;
  job_id: JobId;
  cluster_id: ClusterId;
  reserved: Amounts;
  started_at: Date;
  micro_usd_per_hour: number;
  stop_at: Date | null;
  evict_cause: Eviction['cause'] | null;
  evicted_for: JobId | null;
  evict_deadline: Date | null;
  tenant_id: TenantId;
  scheduling: Scheduling;
  submitted_at: Date;
  spent_micro_usd: number;
}

async function readSteerable(tx: Transaction): Promise<RunningJob[]> {
  const { rows } = await tx.query<SteerableRow>({
    name: 'read-steerable-attempts',
    text: `SELECT a.id, a.job_id, a.cluster_id, a.reserved, a.started_at, a.micro_usd_per_hour, a.stop_at, a.evict_cause,
             a.evicted_for, a.evict_deadline, j.tenant_id, j.scheduling, j.submitted_at, j.spent_micro_usd
           FROM job_attempts a JOIN jobs j ON j.id = a.job_id
           WHERE a.phase <> 'ended' AND a.steerable ORDER BY a.id`,
  });
  return rows.map(row => ({
    id: row.job_id,
    attemptId: row.id,
    tenantId: row.tenant_id,
    clusterId: row.cluster_id,
    scheduling: row.scheduling,
    submittedAtMs: row.submitted_at.getTime(),
    startedAtMs: row.started_at.getTime(),
    reserved: row.reserved,
    microUsdPerHour: row.micro_usd_per_hour,
    spentMicroUsd: row.spent_micro_usd,
    stopAtMs: row.stop_at?.getTime() ?? null,
    stop: stopOf(row),
  }));
}

/** One that moves from its machine or cluster is stopped for nobody, but it is not to be told to stop again. */
function stopOf({ evict_cause: cause, evicted_for: forId, evict_deadline: deadline }: SteerableRow): Stop | null {
  if (cause === null || deadline === null) return null;
  return {
    why: cause === 'drained' || cause === 'clusterOver' ? 'preempted' : cause,
    forId,
    graceUntilMs: deadline.getTime(),
  };
}

/** Grouped by the database: there may be very many of them, and few kinds. */
async function readOthers(tx: Transaction): Promise<OtherWork[]> {
  const { rows } = await tx.query<{ cluster_id: ClusterId; tenant_id: TenantId; reserved: Amounts; jobs: number }>({
    name: 'read-other-attempts',
    text: `SELECT a.cluster_id, c.tenant_id, a.reserved, a.jobs
           FROM (SELECT cluster_id, reserved, count(*)::int AS jobs FROM job_attempts
             WHERE phase <> 'ended' AND NOT steerable GROUP BY cluster_id, reserved) a
           JOIN clusters c ON c.id = a.cluster_id ORDER BY a.cluster_id, a.reserved`,
  });
  return rows.map(row => ({
    tenantId: row.tenant_id,
    clusterId: row.cluster_id,
    reserved: row.reserved,
    jobs: row.jobs,
  }));
}
