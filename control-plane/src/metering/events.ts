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
  from: Date;
  until: Date;
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
    const accepted = await insertEvents(tx, caller.tenantId, rows);
    if (accepted.length < rows.length) await demandSame(tx, caller.tenantId, rows);
    const isNew = new Set(accepted.map(keyOf));
    const added = accepted.length === rows.length ? rows : rows.filter(row => isNew.has(keyOf(row)));
    await insertInterruptions(
      tx,
      caller.tenantId,
      added.filter(row => row.interruption),
    );
    await lookAgain(
      tx,
      added.map(row => row.leaseId),
      added.map(row => row.from),
    );
    return { accepted: added.length, duplicates: events.length - added.length };
  });
}

const keyOf = ({ source, id }: { source: string; id: string }) => `${source}\n${id}`;

function rowOf({ source, id, type, data }: UsageEvent): Row {
  const { leaseId } = data;
  const [from, until] = [new Date(data.from), new Date(data.until)];
  if (until <= from) throw new Failure('bad-request', `event ${id} of ${source}: it ends before it begins`);
  const none = { cpuMs: 0, mibSeconds: 0, egressBytes: 0 };
  const amounts = type === interruptionEventType ? none : data;
  const { cpuMs, mibSeconds, egressBytes } = amounts;
  const interruption = type === interruptionEventType;
  return { source, id, leaseId, from, until, cpuMs, mibSeconds, egressBytes, interruption };
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

const isSame = (left: Row, right: Row) => JSON.stringify(contentOf(left)) === JSON.stringify(contentOf(right));
const contentOf = ({ leaseId, from, until, cpuMs, mibSeconds, egressBytes, interruption }: Row) => [
  ...[leaseId, from.getTime(), until.getTime(), cpuMs, mibSeconds, egressBytes, interruption],
];
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
  for (const { source, id, leaseId, from, until } of rows) {
    const lease = byId.get(leaseId);
    if (!lease) {
      throw new Failure('not-found', `event ${id} of ${source}: no lease ${leaseId} on a machine of yours`);
    }
    const latestMs = (lease.releasedMs ?? nowMs) + aheadMs;
    if (from.getTime() < lease.createdMs - aheadMs || until.getTime() > latestMs) {
      throw new Failure('bad-request', `event ${id} of ${source}: lease ${leaseId} was not held for all of that time`);
    }
  }
}

async function insertEvents(
  tx: Transaction,
  tenantId: TenantId,
  rows: readonly Row[],
): Promise<{ source: string; id: string }[]> {
  const { rows: inserted } = await tx.query<{ source: string; id: string }>({
    name: 'insert-usage-events',
    text: `INSERT INTO usage_events (tenant_id, source, id, lease_id, from_at, until_at, cpu_ms, mib_seconds, egress_bytes,
             interruption)
           SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[],
             $8::bigint[], $9::bigint[], $10::boolean[])
           ON CONFLICT DO NOTHING RETURNING source, id`,
    values: [
      tenantId,
      rows.map(({ source }) => source),
      rows.map(({ id }) => id),
      rows.map(({ leaseId }) => leaseId),
      rows.map(({ from }) => from),
      rows.map(({ until }) => until),
      rows.map(({ cpuMs }) => cpuMs),
      rows.map(({ mibSeconds }) => mibSeconds),
      rows.map(({ egressBytes }) => egressBytes),
      rows.map(({ interruption }) => interruption),
    ],
  });
  return inserted;
}

async function demandSame(tx: Transaction, tenantId: TenantId, rows: readonly Row[]): Promise<void> {
  const { rows: found } = await tx.query<{
    source: string;
    id: string;
    lease_id: LeaseId;
    from_at: Date;
    until_at: Date;
    cpu_ms: number;
    mib_seconds: number;
    egress_bytes: number;
    interruption: boolean;
  }>(
    `SELECT e.* FROM unnest($2::text[], $3::text[]) AS u (source, id)
     JOIN usage_events e ON e.source = u.source AND e.id = u.id AND e.tenant_id = $1`,
    [tenantId, rows.map(({ source }) => source), rows.map(({ id }) => id)],
  );
  const onRecord = new Map(found.map(row => [keyOf(row), row]));
  for (const row of rows) {
    const old = onRecord.get(keyOf(row));
    if (!old) throw new Error(`event ${row.id} was neither written nor found`);
    const { source, id, interruption } = old;
    const [from, until] = [old.from_at, old.until_at];
    const amounts = { cpuMs: old.cpu_ms, mibSeconds: old.mib_seconds, egressBytes: old.egress_bytes };
    if (!isSame({ source, id, leaseId: old.lease_id, from, until, ...amounts, interruption }, row))
      throw different(row);
  }
}

async function insertInterruptions(tx: Transaction, tenantId: TenantId, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at, ended_at)
     SELECT 'lease', * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])`,
    [
      rows.map(({ leaseId }) => leaseId),
      rows.map(({ source, id }) => `reported:${tenantId} ${source} ${id}`),
      rows.map(({ from }) => from),
      rows.map(({ until }) => until),
    ],
  );
}
