import type { Event, EventSubject, TenantId } from '@iocloud/contracts';
import { afterCommit, counter, type Queryable, type Transaction } from '../platform/index.js';

const written = counter('iocloud_events_total', 'Events that were written', ['subject_kind', 'reason', 'severity']);

export interface EventRecord {
  tenantId: TenantId;
  subjectKind: EventSubject;
  subject: string;
  /** One CamelCase word. */
  reason: string;
  message: string;
  severity?: Event['severity'];
}

/** Writes events in the transaction of what they tell. */
export async function recordEvents(tx: Transaction, events: EventRecord[]): Promise<void> {
  await tx.query({
    name: 'record-events',
    text: `INSERT INTO events (tenant_id, subject_kind, subject, reason, message, severity)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])`,
    values: [
      events.map(event => event.tenantId),
      events.map(event => event.subjectKind),
      events.map(event => event.subject),
      events.map(event => event.reason),
      events.map(event => event.message.slice(0, 4096)),
      events.map(event => event.severity ?? 'info'),
    ],
  });
  afterCommit(tx, () => {
    for (const { subjectKind: subject_kind, reason, severity = 'info' } of events) {
      written.inc({ subject_kind, reason, severity });
    }
  });
}

export const recordEvent = (tx: Transaction, event: EventRecord): Promise<void> => recordEvents(tx, [event]);

interface Row {
  sequence: number;
  at: Date;
  subject_kind: EventSubject;
  subject: string;
  reason: string;
  message: string;
  severity: Event['severity'];
}

const severities: readonly Event['severity'][] = ['info', 'warning', 'error'];

/** All of what is given. */
export interface EventSearch {
  subject?: string | undefined;
  kind?: EventSubject | undefined;
  reason?: string | undefined;
  /** At least so grave. */
  severity?: Event['severity'] | undefined;
  since?: string | undefined;
  until?: string | undefined;
  /** Somewhere in reason or message, in any case. */
  text?: string | undefined;
}

/** Events after a sequence number, oldest first. Those of transactions that may still commit earlier ones wait. */
export async function readEvents(
  db: Queryable,
  tenantId: TenantId,
  after: number,
  limit: number,
  { subject, kind, reason, severity, since, until, text }: EventSearch,
): Promise<Event[]> {
  const { rows } = await db.query<Row>(
    `SELECT sequence, at, subject_kind, subject, reason, message, severity FROM events
     WHERE tenant_id = $1 AND sequence > $2 AND ($4::text IS NULL OR subject = $4)
       AND ($5::text IS NULL OR subject_kind = $5) AND ($6::text IS NULL OR reason = $6)
       AND ($7::text[] IS NULL OR severity = ANY($7)) AND ($8::timestamptz IS NULL OR at >= $8)
       AND ($9::timestamptz IS NULL OR at < $9)
       AND ($10::text IS NULL OR strpos(lower(reason || ' ' || message), lower($10)) > 0)
       AND xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY sequence LIMIT $3`,
    [
      ...[tenantId, after, limit, subject ?? null, kind ?? null, reason ?? null],
      severity === undefined ? null : severities.slice(severities.indexOf(severity)),
      ...[since ?? null, until ?? null, text ?? null],
    ],
  );
  return rows.map(row => ({
    sequence: row.sequence,
    at: row.at.toISOString(),
    subjectKind: row.subject_kind,
    subject: row.subject,
    reason: row.reason,
    message: row.message,
    severity: row.severity,
  }));
}

export async function lastSequence(db: Queryable, tenantId: TenantId): Promise<number> {
  const { rows } = await db.query<{ last: number }>(
    `SELECT coalesce(max(sequence), 0)::bigint AS last FROM events
     WHERE tenant_id = $1 AND xid < pg_snapshot_xmin(pg_current_snapshot())`,
    [tenantId],
  );
  return rows[0]?.last ?? 0;
}

/** The latest of all tenants, newest first, for whoever runs the control plane: what happened to what, without the words. */
export async function latestOfAll(db: Queryable, limit: number): Promise<Omit<Event, 'message'>[]> {
  const { rows } = await db.query<Omit<Row, 'message'>>(
    `SELECT sequence, at, subject_kind, subject, reason, severity FROM events ORDER BY sequence DESC LIMIT $1`,
    [limit],
  );
  return rows.map(row => ({
    sequence: row.sequence,
    at: row.at.toISOString(),
    subjectKind: row.subject_kind,
    subject: row.subject,
    reason: row.reason,
    severity: row.severity,
  }));
}
