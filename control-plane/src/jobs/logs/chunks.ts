/**
 * The table `job_log_chunks`: a driver's log by byte offset. A chunk is appended together with the offset up to which
 * the log is kept, and only onto the offset that the writer believes in: two writers, or one that is started anew after
 * a crash, can neither leave out nor repeat a byte.
 */
import type { AttemptId, JobId } from '@iocloud/contracts';
import type { Queryable } from '../../platform/index.js';

export interface LogPosition {
  bytes: number;
  complete: boolean;
  truncated: boolean;
}

export async function logPosition(db: Queryable, attemptId: AttemptId): Promise<LogPosition | null> {
  const { rows } = await db.query<{ log_bytes: number; log_complete: boolean; log_truncated: boolean }>({
    name: 'log-position',
    text: 'SELECT log_bytes, log_complete, log_truncated FROM job_attempts WHERE id = $1',
    values: [attemptId],
  });
  const row = rows[0];
  return row ? { bytes: row.log_bytes, complete: row.log_complete, truncated: row.log_truncated } : null;
}

/** Appends at `fromByte`; `last`: nothing more is kept after it. False when the log ends elsewhere by now. */
export async function appendChunk(
  db: Queryable,
  attemptId: AttemptId,
  fromByte: number,
  data: Buffer,
  last: boolean,
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'append-log-chunk',
    text: `WITH fenced AS (
             UPDATE job_attempts SET log_bytes = $3, log_truncated = $5
             WHERE id = $1 AND log_bytes = $2 AND NOT log_complete AND NOT log_truncated AND phase <> 'ended'
             RETURNING id)
           INSERT INTO job_log_chunks (attempt_id, start_byte, data) SELECT id, $2, $4 FROM fenced`,
    values: [attemptId, fromByte, fromByte + data.length, data, last],
  });
  return rowCount === 1;
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

/** The attempts of a job from a number on, and whether another can follow; null when the job is gone. */
export async function loggedAttempts(
  db: Queryable,
  jobId: JobId,
  fromNumber: number,
): Promise<{ attempts: LoggedAttempt[]; jobEnded: boolean } | null> {
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
