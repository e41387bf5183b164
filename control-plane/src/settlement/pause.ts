/** What stops pay-outs. */
import type { Queryable } from '../platform/index.js';

/** True while a difference is there that nobody has acknowledged. */
export async function isPaused(db: Queryable): Promise<boolean> {
  const { rows } = await db.query(
    'SELECT 1 FROM settlement_differences WHERE cleared_at IS NULL AND acknowledged_at IS NULL LIMIT 1',
  );
  return rows.length > 0;
}
