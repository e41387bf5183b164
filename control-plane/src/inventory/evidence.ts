/**
 * What happens on machines, on its way into their standings: noted where it happens, counted a little later.
 *
 * Hundreds of attempts end each second, many on machines of one supplier. Were its standing changed in the transactions
 * that end them, each would hold that row's lock until its commit is on the disk, and all would go one after the other. A
 * note is an insert instead: it waits for no row of anybody, and two of them meet only in a sequence and for microseconds
 * at the end of an index. `foldEvidence` then changes each standing once for a whole batch of notes, and is the only one
 * that writes standings.
 *
 * Exactly once: a note commits with what it tells of, which happens once (endAttempt, the end of a lease, a rating), or not
 * at all; and it is deleted in the transaction that counts it.
 */
import type { NodeId, TenantId } from '@iocloud/contracts';
import { type Evidence, type Standing, unknown, withOneVoice } from '../core/matching/index.js';
import {
  type Database,
  type Logger,
  type Queryable,
  Recurring,
  type Transaction,
  takeLock,
} from '../platform/index.js';

/** Any constant, the same for all replicas. */
const foldLock = 7_265_020;
const batchSize = 5_000;
const foldIntervalMs = 2_000;

export interface StandingRow {
  subject: string;
  good: number;
  bad: number;
  as_of: Date;
}

export const toStanding = (row: StandingRow | undefined): Standing =>
  row ? { good: row.good, bad: row.bad, asOfMs: row.as_of.getTime() } : unknown;

export async function recordEvidence(
  tx: Transaction,
  nodeId: NodeId,
  renter: TenantId,
  evidence: Evidence,
  happenedAt: Date,
): Promise<void> {
  await tx.query({
    name: 'record-evidence',
    text: `INSERT INTO evidence (node_id, renter_id, kind, stars, happened_at)
           VALUES ($1, $2, $3, $4, $5)`,
    values: [nodeId, renter, evidence.kind, evidence.kind === 'rated' ? evidence.stars : null, happenedAt],
  });
}

interface EvidenceRow {
  node_id: NodeId;
  renter_id: TenantId;
  kind: Evidence['kind'];
  stars: number | null;
  happened_at: Date;
}

/** Counts the oldest notes, at most a batch of them. Returns how many there were; 0 while another replica is at it. */
export async function foldEvidence(database: Database): Promise<number> {
  return database.transaction(async tx => {
    if (!(await takeLock(tx, foldLock))) return 0;
    const { rows } = await tx.query<EvidenceRow>({
      name: 'take-evidence',
      text: `DELETE FROM evidence WHERE id IN (SELECT id FROM evidence ORDER BY id LIMIT $1)
             RETURNING node_id, renter_id, kind, stars, happened_at`,
      values: [batchSize],
    });
    if (rows.length > 0) await count(tx, rows);
    return rows.length;
  });
}

async function count(tx: Transaction, notes: EvidenceRow[]): Promise<void> {
  const bySubject = new Map<string, EvidenceRow[]>();
  for (const [note, subjects] of await subjectsOf(tx, notes)) {
    for (const subject of subjects) {
      const before = bySubject.get(subject);
      if (before) before.push(note);
      else bySubject.set(subject, [note]);
    }
  }
  const subjects = [...bySubject.keys()].sort();
  const { rows } = await tx.query<StandingRow>('SELECT * FROM standings WHERE subject = ANY($1)', [subjects]);
  const before = new Map(rows.map(row => [row.subject, row]));
  const shares = await sharesOf(tx, subjects, notes);
  const after = subjects.map(subject =>
    (bySubject.get(subject) ?? []).reduce(
      (standing, note) => {
        const key = shareKey(subject, note.renter_id);
        const share = shares.get(key)?.standing ?? unknown;
        const heard = withOneVoice({ standing, share }, evidenceOf(note), note.happened_at.getTime());
        shares.set(key, { subject, renterId: note.renter_id, standing: heard.share });
        return heard.standing;
      },
      toStanding(before.get(subject)),
    ),
  );
  await keepShares(tx, [...shares.values()]);
  await tx.query(
    `INSERT INTO standings (subject, good, bad, as_of)
     SELECT * FROM unnest($1::text[], $2::float8[], $3::float8[], $4::timestamptz[])
     ON CONFLICT (subject) DO UPDATE SET good = excluded.good, bad = excluded.bad, as_of = excluded.as_of`,
    [
      subjects,
      after.map(({ good }) => good),
      after.map(({ bad }) => bad),
      after.map(({ asOfMs }) => new Date(asOfMs).toISOString()),
    ],
  );
}

interface Share {
  subject: string;
  renterId: TenantId;
  standing: Standing;
}
const shareKey = (subject: string, renterId: string) => `${subject} ${renterId}`;

/** What the renters who told these notes have told of the subjects before. */
async function sharesOf(tx: Transaction, subjects: string[], notes: EvidenceRow[]): Promise<Map<string, Share>> {
  const renters = [...new Set(notes.map(note => note.renter_id))];
  const { rows } = await tx.query<StandingRow & { renter_id: TenantId }>(
    'SELECT * FROM standing_shares WHERE subject = ANY($1) AND renter_id = ANY($2)',
    [subjects, renters],
  );
  return new Map(
    rows.map(row => {
      const share = { subject: row.subject, renterId: row.renter_id, standing: toStanding(row) };
      return [shareKey(row.subject, row.renter_id), share];
    }),
  );
}

async function keepShares(tx: Transaction, shares: Share[]): Promise<void> {
  await tx.query(
    `INSERT INTO standing_shares (subject, renter_id, good, bad, as_of)
     SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[], $5::timestamptz[])
     ON CONFLICT (subject, renter_id) DO UPDATE SET good = excluded.good, bad = excluded.bad, as_of = excluded.as_of`,
    [
      shares.map(({ subject }) => subject),
      shares.map(({ renterId }) => renterId),
      shares.map(({ standing }) => standing.good),
      shares.map(({ standing }) => standing.bad),
      shares.map(({ standing }) => new Date(standing.asOfMs).toISOString()),
    ],
  );
}

/**
 * Whom each note counts for: the machine and its supplier. What a supplier's own jobs say well of a machine that is offered
 * to others does not count: a good name could be had by running nothing.
 */
async function subjectsOf(db: Queryable, notes: EvidenceRow[]): Promise<[EvidenceRow, string[]][]> {
  const { rows } = await db.query<{ id: NodeId; tenant_id: TenantId; shared: boolean }>(
    'SELECT id, tenant_id, shared FROM nodes WHERE id = ANY($1)',
    [[...new Set(notes.map(note => note.node_id))]],
  );
  const nodes = new Map(rows.map(row => [row.id, row]));
  return notes.flatMap((note): [EvidenceRow, string[]][] => {
    const node = nodes.get(note.node_id);
    if (!node) return [];
    const praises = note.kind === 'attemptEnded' || note.kind === 'rated';
    if (praises && node.shared && node.tenant_id === note.renter_id) return [];
    return [[note, [node.id, node.tenant_id]]];
  });
}

function evidenceOf({ kind, stars }: EvidenceRow): Evidence {
  if (kind !== 'rated') return { kind };
  if (stars === null) throw new Error('a rating without stars, which the table does not take');
  return { kind, stars };
}

/** Folds again and again, until it is stopped. */
export const evidenceSweep = ({ database, log }: { database: Database; log: Logger }): Recurring =>
  new Recurring(
    'evidence',
    foldIntervalMs,
    async isStopped => {
      while (!isStopped() && (await foldEvidence(database)) === batchSize);
    },
    error => log.warn({ err: error }, 'evidence could not be counted; again soon'),
  );
