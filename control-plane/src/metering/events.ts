/** Usage that is told by others than agents, as CloudEvents: each counts once, for ever, and is on record before the answer. */
import { interruptionEventType, type LeaseId, type TenantId, type UsageEvent } from '@iocloud/contracts';
import { type Caller, type Database, Failure, type Queryable, type Transaction } from '../platform/index.js';
import { lookAgain } from './lines.js';
import type { MeteredLease } from './ports.js';
import type { RecordPorts } from './record.js';

/** So far may the clock of who tells be ahead of ours. Milliseconds. */
const aheadMs = 5_000;

interface Row {
  source: string;
  id: string;
  leaseId: LeaseId;
  fromMs: number;
  untilMs: number;
  cpuMs: number;
  mibSeconds: number;
  egressBytes: number;
  interruption: boolean;
}

/** All of them or, with a Failure, none. */
export async function takeEvents(
  database: Database,
  ports: RecordPorts,
  caller: Caller,
  events: readonly UsageEvent[],
  nowMs: number,
): Promise<{ accepted: number; duplicates: number }> {
  const rows = [...onceEach(events.map(rowOf))];
  await demandLeases(database, ports, caller, rows, nowMs);
  return database.transaction(async tx => {
    const added = await insertEvents(tx, caller.tenantId, rows);
    await insertInterruptions(
      tx,
      caller.tenantId,
      added.filter(row => row.interruption),
    );
    const { leaseIds, ats } = earliestOfEach(added);
    await lookAgain(tx, leaseIds, ats);
    return { accepted: added.length, duplicates: events.length - added.length };
  });
}

function earliestOfEach(rows: readonly Row[]): { leaseIds: LeaseId[]; ats: Date[] } {
  const earliest = new Map<LeaseId, number>();
  for (const { leaseId, fromMs } of rows) earliest.set(leaseId, Math.min(fromMs, earliest.get(leaseId) ?? fromMs));
  return { leaseIds: [...earliest.keys()], ats: [...earliest.values()].map(ms => new Date(ms)) };
}

const keyOf = ({ source, id }: { source: string; id: string }) => `${source}\n${id}`;

function rowOf({ source, id, type, data }: UsageEvent): Row {
  const { leaseId } = data;
  const [fromMs, untilMs] = [Date.parse(data.from), Date.parse(data.until)];
  if (untilMs <= fromMs) throw new Failure('bad-request', `event ${id} of ${source}: it ends before it begins`);
  const none = { cpuMs: 0, mibSeconds: 0, egressBytes: 0 };
  const amounts = type === interruptionEventType ? none : data;
  const { cpuMs, mibSeconds, egressBytes } = amounts;
  const interruption = type === interruptionEventType;
  return { source, id, leaseId, fromMs, untilMs, cpuMs, mibSeconds, egressBytes, interruption };
}

/** A batch may hold an event twice, but not two that differ. */
function onceEach(rows: readonly Row[]): Iterable<Row> {
  const found = new Map<string, Row>();
  for (const row of rows) {
    const before = found.get(keyOf(row));
    if (before && !isSame(before, row)) throw different(row);
    if (!before) found.set(keyOf(row), row);
  }
  return found.values();
}

const kinds = ['leaseId', 'fromMs', 'untilMs', 'cpuMs', 'mibSeconds', 'egressBytes', 'interruption'] as const;
const isSame = (left: Row, right: Row) => kinds.every(kind => left[kind] === right[kind]);
const different = ({ source, id }: Row) =>
  new Failure(
    'conflict',
    `event ${id} of ${source} is on record with other content: what is known better takes a new id`,
  );

/** Only of leases on the teller's own machines, and within their life. */
async function demandLeases(
  db: Queryable,
  { leases, machines }: RecordPorts,
  caller: Caller,
  rows: readonly Row[],
  nowMs: number,
): Promise<void> {
  const found = await leases.read(db, [...new Set(rows.map(row => row.leaseId))]);
  const owners = await machines.read(db, [...new Set(found.map(lease => lease.nodeId))]);
  const mine = caller.permissions.has('ledger:write')
    ? found
    : found.filter(lease => owners.get(lease.nodeId)?.tenantId === caller.tenantId);
  const byId = new Map<LeaseId, MeteredLease>(mine.map(lease => [lease.id, lease]));
  for (const { source, id, leaseId, fromMs, untilMs } of rows) {
    const lease = byId.get(leaseId);
    if (!lease) {
      throw new Failure('not-found', `event ${id} of ${source}: no lease ${leaseId} on a machine of yours`);
    }
    const latestMs = (lease.releasedMs ?? nowMs) + aheadMs;
    if (fromMs < lease.createdMs - aheadMs || untilMs > latestMs) {
      throw new Failure('bad-request', `event ${id} of ${source}: lease ${leaseId} was not held for all of that time`);
    }
  }
}

/** As arrays, and the rows that they make. */
const given = `unnest($2::text[], $3::text[], $4::text[], $5::float8[], $6::float8[], $7::bigint[], $8::bigint[],
  $9::bigint[], $10::boolean[])`;
const valuesOf = (tenantId: TenantId, rows: readonly Row[]) => [
  tenantId,
  rows.map(({ source }) => source),
  rows.map(({ id }) => id),
  rows.map(({ leaseId }) => leaseId),
  rows.map(({ fromMs }) => fromMs / 1_000),
  rows.map(({ untilMs }) => untilMs / 1_000),
  rows.map(({ cpuMs }) => cpuMs),
  rows.map(({ mibSeconds }) => mibSeconds),
  rows.map(({ egressBytes }) => egressBytes),
  rows.map(({ interruption }) => interruption),
];

/** Those that had not been on record; throws where one is with other content. */
async function insertEvents(tx: Transaction, tenantId: TenantId, rows: readonly Row[]): Promise<readonly Row[]> {
  const values = valuesOf(tenantId, rows);
  const { rowCount } = await tx.query({
    name: 'insert-usage-events',
    text: `INSERT INTO usage_events (tenant_id, source, id, lease_id, from_at, until_at, cpu_ms, mib_seconds, egress_bytes,
             interruption)
           SELECT $1, g.source, g.id, g.lease_id, to_timestamp(g.from_s), to_timestamp(g.until_s), g.cpu, g.mib, g.egress,
             g.interruption
           FROM ${given} AS g (source, id, lease_id, from_s, until_s, cpu, mib, egress, interruption)
           ON CONFLICT DO NOTHING`,
    values,
  });
  if (rowCount === rows.length) return rows;
  const { rows: found } = await tx.query<{ number: number; same: boolean }>({
    name: 'compare-usage-events',
    text: `SELECT g.number::int, same FROM ${given} WITH ORDINALITY
             AS g (source, id, lease_id, from_s, until_s, cpu, mib, egress, interruption, number)
           JOIN usage_events e ON e.source = g.source AND e.id = g.id AND e.tenant_id = $1
           CROSS JOIN LATERAL (SELECT (e.lease_id, e.from_at, e.until_at, e.cpu_ms, e.mib_seconds, e.egress_bytes,
             e.interruption) = (g.lease_id, to_timestamp(g.from_s), to_timestamp(g.until_s), g.cpu, g.mib, g.egress,
             g.interruption) AS same) c
           WHERE NOT same OR e.xmin = pg_current_xact_id()::xid ORDER BY g.number`,
    values,
  });
  return found.flatMap(({ number, same }) => {
    const row = rows[number - 1];
    if (!row) return [];
    if (!same) throw different(row);
    return [row];
  });
}

async function insertInterruptions(tx: Transaction, tenantId: TenantId, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at, ended_at)
     SELECT 'lease', * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])`,
    [
      rows.map(({ leaseId }) => leaseId),
      rows.map(({ source, id }) => `reported:${tenantId} ${source} ${id}`),
      rows.map(({ fromMs }) => new Date(fromMs)),
      rows.map(({ untilMs }) => new Date(untilMs)),
    ],
  );
}
