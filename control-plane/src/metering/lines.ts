/** Lines of usage, and where the meter stands with each lease. */
import type { ClusterId, LeaseId } from '@iocloud/contracts';
import type { Booked, NewLine, Told } from '../core/metering/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import { type AmountsRow, amountsOf, sumsOf } from './amounts-row.js';
import { countLines } from './metrics.js';

export interface Standing {
  leaseId: LeaseId;
  clusterId: ClusterId;
  /** Windows before it have lines. */
  closedUntilMs: number | null;
  /** Null: nobody has looked at it yet. */
  windowMs: number | null;
  allAgain: boolean;
}

interface StandingRow {
  lease_id: LeaseId;
  cluster_id: ClusterId;
  closed_until: Date | null;
  window_seconds: number | null;
  all_again: boolean;
}

/** Takes those of these leases at which nobody else is looking; where `waits` is true, all. */
export async function lockStandings(
  tx: Transaction,
  leaseIds: readonly LeaseId[],
  waits: boolean,
): Promise<Standing[]> {
  const { rows } = await tx.query<StandingRow>({
    name: `lock-metering-${waits}`,
    text: `SELECT lease_id, cluster_id, closed_until, window_seconds, all_again FROM metering_leases
           WHERE lease_id = ANY($1) ORDER BY lease_id FOR UPDATE ${waits ? '' : 'SKIP LOCKED'}`,
    values: [leaseIds],
  });
  return rows.map(row => ({
    leaseId: row.lease_id,
    clusterId: row.cluster_id,
    closedUntilMs: row.closed_until?.getTime() ?? null,
    windowMs: row.window_seconds === null ? null : row.window_seconds * 1_000,
    allAgain: row.all_again,
  }));
}

export async function dueLeases(db: Queryable, limit: number): Promise<LeaseId[]> {
  const { rows } = await db.query<{ lease_id: LeaseId }>({
    name: 'due-metering',
    text: 'SELECT lease_id FROM metering_leases WHERE look_at <= now() ORDER BY look_at, lease_id LIMIT $1',
    values: [limit],
  });
  return rows.map(row => row.lease_id);
}

/** The meter's times are whole milliseconds. */
const open = `l.released_at IS NOT NULL AND m.closed_until IS DISTINCT FROM date_trunc('milliseconds', l.released_at)`;

/** Leases of a cluster that have been released and have windows without lines. */
export async function endedLeases(db: Queryable, clusterId: string): Promise<LeaseId[]> {
  const { rows } = await db.query<{ lease_id: LeaseId }>({
    name: 'ended-metering',
    text: `SELECT m.lease_id FROM metering_leases m JOIN leases l ON l.id = m.lease_id
           WHERE m.cluster_id = $1 AND ${open} ORDER BY 1`,
    values: [clusterId],
  });
  return rows.map(row => row.lease_id);
}

/** Their clusters, of those that were released of late. */
export async function endedClusters(db: Queryable): Promise<ClusterId[]> {
  const { rows } = await db.query<{ cluster_id: ClusterId }>({
    name: 'ended-clusters-metering',
    text: `SELECT DISTINCT m.cluster_id FROM leases l JOIN metering_leases m ON m.lease_id = l.id
           WHERE l.released_at > now() - interval '1 hour' AND ${open}`,
  });
  return rows.map(row => row.cluster_id);
}

export interface Outcome {
  leaseId: LeaseId;
  closedUntilMs: number | null;
  windowMs: number;
  /** Null: nothing is to come. */
  lookAtMs: number | null;
  /** Of all windows then. */
  allAgain: boolean;
}

export async function writeStandings(tx: Transaction, outcomes: readonly Outcome[]): Promise<void> {
  const dates = (times: (number | null)[]) => times.map(time => (time === null ? null : new Date(time)));
  await tx.query({
    name: 'write-metering',
    text: `UPDATE metering_leases m SET closed_until = o.closed_until, window_seconds = o.window_seconds,
             look_at = o.look_at, all_again = o.all_again
           FROM unnest($1::text[], $2::timestamptz[], $3::int[], $4::timestamptz[], $5::boolean[])
             AS o (lease_id, closed_until, window_seconds, look_at, all_again) WHERE o.lease_id = m.lease_id`,
    values: [
      outcomes.map(({ leaseId }) => leaseId),
      dates(outcomes.map(({ closedUntilMs }) => closedUntilMs)),
      outcomes.map(({ windowMs }) => windowMs / 1_000),
      dates(outcomes.map(({ lookAtMs }) => lookAtMs)),
      outcomes.map(({ allAgain }) => allAgain),
    ],
  });
}

/** Something has become known late: of windows that are closed by then the lease is computed again. */
export async function lookAgain(tx: Queryable, leaseIds: readonly LeaseId[], ats: readonly Date[]): Promise<void> {
  await tx.query({
    name: 'meter-again',
    text: `WITH late AS (
             SELECT lease_id, min(at) AS at FROM unnest($1::text[], $2::timestamptz[]) AS u (lease_id, at) GROUP BY 1),
           found AS (
             SELECT m.lease_id FROM metering_leases m JOIN late ON late.lease_id = m.lease_id
             WHERE m.closed_until > late.at AND NOT (m.all_again AND coalesce(m.look_at <= now(), false))
             ORDER BY 1 FOR UPDATE OF m)
           UPDATE metering_leases m SET all_again = true, look_at = now() FROM found WHERE m.lease_id = found.lease_id`,
    values: [leaseIds, ats],
  });
}

interface BookedRow extends AmountsRow {
  lease_id: LeaseId;
  window_start: Date;
  revision: number;
}

/** What each window of these leases has come to, from a time of each on. */
export async function bookedOf(
  db: Queryable,
  leases: readonly { leaseId: LeaseId; fromMs: number }[],
): Promise<Map<LeaseId, Map<number, Booked>>> {
  const { rows } = await db.query<BookedRow>({
    name: 'booked-usage',
    text: `SELECT u.lease_id, u.window_start, max(u.revision) AS revision, ${sumsOf('u')}
           FROM unnest($1::text[], $2::timestamptz[]) AS a (lease_id, from_at)
           JOIN usage_lines u ON u.lease_id = a.lease_id AND u.window_start >= a.from_at
           GROUP BY u.lease_id, u.window_start`,
    values: [leases.map(({ leaseId }) => leaseId), leases.map(({ fromMs }) => new Date(fromMs))],
  });
  const booked = new Map<LeaseId, Map<number, Booked>>(leases.map(({ leaseId }) => [leaseId, new Map()]));
  for (const row of rows) {
    booked.get(row.lease_id)?.set(row.window_start.getTime(), {
      revision: row.revision,
      amounts: amountsOf(row),
    });
  }
  return booked;
}

export type Line = NewLine & { leaseId: LeaseId; windowSeconds: number; evidence: Record<string, unknown> };

/** Any constant will do, as long as every replica takes the same. */
const linesLock = 7_265_102;

/**
 * One transaction at a time, to its end: so lines become visible in the order of their numbers, and who reads on from the
 * last that it has seen misses none.
 */
export async function insertLines(tx: Transaction, lines: readonly Line[]): Promise<void> {
  if (lines.length === 0) return;
  await tx.query('SELECT pg_advisory_xact_lock($1)', [linesLock]);
  const amounts = (kind: keyof NewLine['amounts']) => lines.map(line => line.amounts[kind]);
  await tx.query({
    name: 'insert-usage',
    text: `INSERT INTO usage_lines (lease_id, window_start, window_seconds, revision, billable_ms, allocated_ms,
             device_billable_ms, device_allocated_ms, cpu_ms, mib_seconds, egress_bytes, evidence)
           SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::int[], $4::int[], $5::bigint[], $6::bigint[],
             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::jsonb[])`,
    values: [
      lines.map(({ leaseId }) => leaseId),
      lines.map(({ windowMs }) => new Date(windowMs)),
      lines.map(({ windowSeconds }) => windowSeconds),
      lines.map(({ revision }) => revision),
      amounts('billableMs'),
      amounts('allocatedMs'),
      amounts('deviceBillableMs'),
      amounts('deviceAllocatedMs'),
      amounts('cpuMs'),
      amounts('mibSeconds'),
      amounts('egressBytes'),
      lines.map(({ evidence }) => JSON.stringify(evidence)),
    ],
  });
  countLines(tx, lines);
}

/** What was told of these leases by others than agents. */
export async function toldOf(db: Queryable, leaseIds: readonly LeaseId[]): Promise<Map<LeaseId, Told[]>> {
  const { rows } = await db.query<{
    lease_id: LeaseId;
    from_at: Date;
    until_at: Date;
    cpu_ms: number;
    mib_seconds: number;
    egress_bytes: number;
  }>({
    name: 'told-usage',
    text: `SELECT lease_id, from_at, until_at, cpu_ms, mib_seconds, egress_bytes FROM usage_events
           WHERE lease_id = ANY($1) AND NOT interruption`,
    values: [leaseIds],
  });
  const told = new Map<LeaseId, Told[]>();
  for (const row of rows) {
    const one = {
      fromMs: row.from_at.getTime(),
      untilMs: row.until_at.getTime(),
      cpuMs: row.cpu_ms,
      mibSeconds: row.mib_seconds,
      egressBytes: row.egress_bytes,
    };
    const before = told.get(row.lease_id);
    if (before) before.push(one);
    else told.set(row.lease_id, [one]);
  }
  return told;
}
