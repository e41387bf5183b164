/**
 * The table `job_log_chunks`: a driver's log by byte offset. A chunk is appended together with the offset up to which
 * the log is kept, and only onto the offset that the writer believes in: two writers, or one that is started anew after
 * a crash, can neither leave out nor repeat a byte.
 */
import type { AttemptId, JobId } from '@iocloud/contracts';
import { inOrderOf, lookUp, type Queryable, together } from '../../platform/index.js';

export interface LogPosition {
  bytes: number;
  complete: boolean;
  truncated: boolean;
}

interface PositionRow {
  id: AttemptId;
  log_bytes: number;
  log_complete: boolean;
  log_truncated: boolean;
}

const readPosition = lookUp<AttemptId, PositionRow>(async (db, ids) => {
  const { rows } = await db.query<PositionRow>({
    name: 'log-positions',
    text: 'SELECT id, log_bytes, log_complete, log_truncated FROM job_attempts WHERE id = ANY($1)',
    values: [ids],
  });
  return inOrderOf(ids, rows, row => row.id);
});

export async function logPosition(db: Queryable, attemptId: AttemptId): Promise<LogPosition | null> {
  const row = await readPosition(db, attemptId);
  return row ? { bytes: row.log_bytes, complete: row.log_complete, truncated: row.log_truncated } : null;
}

export interface NewChunk {
  attemptId: AttemptId;
  fromByte: number;
  data: Buffer;
  /** Nothing more is kept after it. */
  last: boolean;
}

/** Larger ones have a statement of their own: waiting for company would save little and cost memory. */
const smallBytes = 8_192;
/** How far apart the statements begin in which small ones are appended. Milliseconds. */
const appendSpacingMs = 20;
const appendTogether = together(appendChunks, appendSpacingMs);

/** Appends at `fromByte`. False when the log ends elsewhere by now. */
export async function appendChunk(db: Queryable, chunk: NewChunk): Promise<boolean> {
  if (chunk.data.length <= smallBytes) return appendTogether(db, chunk);
  return (await appendChunks(db, [chunk]))[0] ?? false;
}

/** Of different attempts. Their rows are locked in one order by all who lock several. */
async function appendChunks(db: Queryable, chunks: NewChunk[]): Promise<boolean[]> {
  const lengths = chunks.map(({ data }) => data.length);
  const { rows } = await db.query<{ attempt_id: AttemptId }>({
    name: 'append-log-chunks',
    // One value holds the bytes of all: an array of them would be sent as text, twice as long.
    text: `WITH new AS (
             SELECT id, start, length, last, 1 + sum(length) OVER (ORDER BY place) - length AS at
             FROM unnest($1::text[], $2::bigint[], $3::int[], $4::boolean[]) WITH ORDINALITY
               AS n (id, start, length, last, place)),
           locked AS (SELECT id FROM job_attempts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE),
           fenced AS (
             UPDATE job_attempts a SET log_bytes = n.start + n.length, log_truncated = n.last
             FROM locked l JOIN new n ON n.id = l.id
             WHERE a.id = l.id AND a.log_bytes = n.start AND NOT a.log_complete AND NOT a.log_truncated
               AND a.phase <> 'ended'
             RETURNING a.id, n.start, n.at, n.length)
           INSERT INTO job_log_chunks (attempt_id, start_byte, data)
           SELECT id, start, substring($5::bytea FROM at::int FOR length) FROM fenced RETURNING attempt_id`,
    values: [
      chunks.map(({ attemptId }) => attemptId),
      chunks.map(({ fromByte }) => fromByte),
      lengths,
      chunks.map(({ last }) => last),
      chunks.length === 1 ? chunks[0]?.data : Buffer.concat(chunks.map(({ data }) => data)),
    ],
  });
  const appended = new Set(rows.map(row => row.attempt_id));
  return chunks.map(({ attemptId }) => appended.has(attemptId));
}

export interface Chunk {
  startByte: number;
  data: Buffer;
}

/** Chunks from an offset at which one starts, in order. */
export async function readChunks(
  db: Queryable,
  attemptId: AttemptId,
  fromByte: number,
  limit: number,
): Promise<Chunk[]> {
  const { rows } = await db.query<{ start_byte: number; data: Buffer }>({
    name: 'read-log-chunks',
    text: `SELECT start_byte, data FROM job_log_chunks WHERE attempt_id = $1 AND start_byte >= $2
           ORDER BY start_byte LIMIT $3`,
    values: [attemptId, fromByte, limit],
  });
  return rows.map(row => ({ startByte: row.start_byte, data: row.data }));
}

export interface LoggedAttempt {
  id: AttemptId;
  number: number;
  outcome: string | null;
  message: string | null;
  logComplete: boolean;
}

/** The attempts of a job from a number on, twenty at most, and whether another can follow. */
export interface LoggedJob {
  attempts: LoggedAttempt[];
  jobEnded: boolean;
}

/** Null when the job is gone. */
export async function loggedJob(db: Queryable, jobId: JobId, fromNumber: number): Promise<LoggedJob | null> {
  const { rows } = await db.query<{
    phase: string;
    id: AttemptId | null;
    number: number;
    outcome: string | null;
    message: string | null;
    log_complete: boolean;
  }>({
    name: 'logged-attempts',
    text: `SELECT j.phase, a.id, a.number, a.outcome, a.message, a.log_complete
           FROM jobs j LEFT JOIN job_attempts a ON a.job_id = j.id AND a.number >= $2
           WHERE j.id = $1 ORDER BY a.number LIMIT 20`,
    values: [jobId, fromNumber],
  });
  const first = rows[0];
  if (!first) return null;
  const attempts = rows.flatMap(row =>
    row.id === null
      ? []
      : [{ id: row.id, number: row.number, outcome: row.outcome, message: row.message, logComplete: row.log_complete }],
  );
  return { attempts, jobEnded: ['succeeded', 'failed', 'stopped'].includes(first.phase) };
}
