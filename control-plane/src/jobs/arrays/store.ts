/** Indices of arrays, many at a time. */
import type { ArrayCounts, JobId } from '@iocloud/contracts';
import { emptyTally, type Tally } from '../../core/arrays/index.js';
import type { Queryable, Transaction } from '../../platform/index.js';

export async function tallyOf(db: Queryable, arrayId: JobId): Promise<{ tally: Tally; spentMicroUsd: number }> {
  const { rows } = await db.query<{ state: keyof Tally; count: number; spent: number }>({
    name: 'tally-array',
    text: `SELECT CASE WHEN held AND phase = 'queued' THEN 'held' ELSE phase END AS state, count(*)::int AS count,
             sum(spent_micro_usd)::bigint AS spent
           FROM jobs WHERE array_id = $1 GROUP BY 1`,
    values: [arrayId],
  });
  const tally = { ...emptyTally };
  for (const { state, count } of rows) tally[state] = count;
  return { tally, spentMicroUsd: rows.reduce((sum, { spent }) => sum + spent, 0) };
}

export async function liveArrays(db: Queryable): Promise<JobId[]> {
  const { rows } = await db.query<{ id: JobId }>({
    name: 'live-arrays',
    text: `SELECT id FROM jobs WHERE array_size IS NOT NULL AND array_id IS NULL
             AND phase NOT IN ('succeeded', 'failed', 'stopped')`,
  });
  return rows.map(row => row.id);
}

/** Lets so many of those that are held go, in the order of their indices. */
export async function letGo(tx: Transaction, arrayId: JobId, count: number): Promise<void> {
  await tx.query({
    name: 'let-indices-go',
    text: `UPDATE jobs SET held = false WHERE id IN (
             SELECT id FROM jobs WHERE array_id = $1 AND held AND phase = 'queued'
             ORDER BY array_index LIMIT $2 FOR UPDATE)`,
    values: [arrayId, count],
  });
}

/** None of those that wait is given a place any more. */
export async function holdBack(tx: Transaction, arrayId: JobId): Promise<void> {
  await tx.query({
    name: 'hold-indices-back',
    text: `UPDATE jobs SET held = true WHERE id IN (
             SELECT id FROM jobs WHERE array_id = $1 AND NOT held AND phase = 'queued' ORDER BY id FOR UPDATE)`,
    values: [arrayId],
  });
}

/** So many of those that are to be stopped and have not been told. */
export async function indicesToStop(db: Queryable, arrayId: JobId, most: number): Promise<JobId[]> {
  const { rows } = await db.query<{ id: JobId }>({
    name: 'indices-to-stop',
    text: `SELECT id FROM jobs WHERE array_id = $1 AND phase IN ('queued', 'assigned', 'running') LIMIT $2`,
    values: [arrayId, most],
  });
  return rows.map(row => row.id);
}

export async function writeCounts(tx: Transaction, arrayId: JobId, counts: ArrayCounts): Promise<void> {
  await tx.query({
    name: 'write-array-counts',
    text: 'UPDATE jobs SET array_counts = $2 WHERE id = $1',
    values: [arrayId, JSON.stringify(counts)],
  });
}

/** The first of those that did not succeed. */
export async function unsuccessful(
  db: Queryable,
  arrayId: JobId,
  most: number,
): Promise<{ submission_id: string; array_index: number; phase: string; message: string }[]> {
  const { rows } = await db.query<{ submission_id: string; array_index: number; phase: string; message: string }>({
    name: 'unsuccessful-indices',
    text: `SELECT submission_id, array_index, phase, message FROM jobs
           WHERE array_id = $1 AND phase IN ('failed', 'stopped') ORDER BY array_index LIMIT $2`,
    values: [arrayId, most],
  });
  return rows;
}
