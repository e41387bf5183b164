/** How far machines and their suppliers can be relied on: evidence comes in, a number between 0 and 1 comes out. */
import type { NodeId, TenantId } from '@iocloud/contracts';
import { type Evidence, reputation, type Standing, unknown, withEvidence } from '../core/matching/index.js';
import type { Queryable, Transaction } from '../platform/index.js';

interface StandingRow {
  subject: string;
  good: number;
  bad: number;
  as_of: Date;
}

/**
 * Counts what happened on a machine for the machine and for its supplier. What a supplier's own jobs say well of a
 * machine that is offered to others does not count: a good name could be had by running nothing.
 */
export async function recordEvidence(
  tx: Transaction,
  nodeId: NodeId,
  renter: TenantId,
  evidence: Evidence,
  now: Date,
): Promise<void> {
  const { rows } = await tx.query<{ tenant_id: TenantId; shared: boolean }>(
    'SELECT tenant_id, shared FROM nodes WHERE id = $1',
    [nodeId],
  );
  const node = rows[0];
  if (!node) throw new Error(`no node ${nodeId}`);
  const praises = evidence.kind === 'attemptSucceeded' || evidence.kind === 'rated';
  if (node.shared && node.tenant_id === renter && praises) return;
  // In one order for everybody, so that no two transactions wait for each other.
  for (const subject of [nodeId, node.tenant_id].sort()) await add(tx, subject, evidence, now);
}

async function add(tx: Transaction, subject: string, evidence: Evidence, now: Date): Promise<void> {
  // The row is there, and locked, before it is read: two that come first at once both count.
  await tx.query(
    'INSERT INTO standings (subject, good, bad, as_of) VALUES ($1, 0, 0, $2) ON CONFLICT (subject) DO NOTHING',
    [subject, now],
  );
  const { rows } = await tx.query<StandingRow>('SELECT * FROM standings WHERE subject = $1 FOR UPDATE', [subject]);
  const { good, bad, asOfMs } = withEvidence(toStanding(rows[0]), evidence, now.getTime());
  await tx.query('UPDATE standings SET good = $2, bad = $3, as_of = $4 WHERE subject = $1', [
    subject,
    good,
    bad,
    new Date(asOfMs),
  ]);
}

/** Of each subject named, also of those that nobody has said anything of. */
export async function reputations(db: Queryable, subjects: string[], now: Date): Promise<Map<string, number>> {
  const { rows } = await db.query<StandingRow>('SELECT * FROM standings WHERE subject = ANY($1)', [subjects]);
  const known = new Map(rows.map(row => [row.subject, row]));
  return new Map(subjects.map(subject => [subject, reputation(toStanding(known.get(subject)), now.getTime())]));
}

const toStanding = (row: StandingRow | undefined): Standing =>
  row ? { good: row.good, bad: row.bad, asOfMs: row.as_of.getTime() } : unknown;
