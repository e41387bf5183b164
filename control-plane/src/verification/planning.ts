/** Which devices are to be challenged, and when. */
import { type Hash, hourMs, hourOf, momentOf, subjectsOf } from '../core/verification/index.js';
import type { Database, Queryable } from '../platform/index.js';
import { insertVerification, move, type NodeFacts, type VerificationRow } from './store.js';

/** So many machines are planned at a look. */
const batch = 500;

interface Wiring {
  database: Database;
  /** A MAC under a secret of the control plane. */
  keyed: Hash;
  random(n: number): Uint8Array;
  now(): Date;
}

/**
 * Plans this hour's challenge for machines that are offered to others, and at once the first for one that is not eligible
 * because nothing is known of it, or nothing recent. One that failed waits for the moment of its next hour.
 */
export async function planHour({ database, keyed, random, now }: Wiring): Promise<number> {
  const hour = new Date(hourOf(now().getTime()));
  const { rows } = await database.query<NodeFacts & { fresh: boolean }>(
    `SELECT id, tenant_id, name, public_key, provider_id, inventory, NOT eligible AND NOT EXISTS (
         SELECT 1 FROM verifications f WHERE f.node_id = n.id AND f.verdict IN ('passed', 'failed')
           AND f.judged_at > now() - interval '2 hours') AS fresh
     FROM nodes n WHERE shared AND online AND removed_at IS NULL AND inventory IS NOT NULL AND provider_id IS NULL
       AND NOT EXISTS (SELECT 1 FROM verifications v WHERE v.node_id = n.id AND v.hour = $1)
     ORDER BY id LIMIT $2`,
    [hour, batch],
  );
  for (const node of rows) {
    const moment = new Date(momentOf(keyed, hour.getTime(), node.tenant_id));
    // Whoever comes when the moment has passed, and is verified, has the next hour's.
    const dueAt = node.fresh ? now() : moment;
    await planNode(database, node, { hour, dueAt, random });
  }
  return rows.length;
}

export async function planNode(
  db: Queryable,
  node: NodeFacts,
  { hour, dueAt, random }: { hour: Date; dueAt: Date; random(n: number): Uint8Array },
): Promise<number> {
  let planned = 0;
  for (const { index, uuid, model } of subjectsOf(node.inventory)) {
    const row = {
      nodeId: node.id,
      tenantId: node.tenant_id,
      deviceIndex: index,
      deviceUuid: uuid,
      deviceModel: model,
      hour,
      dueAt,
    };
    if ((await insertVerification(db, row, random)) !== null) planned += 1;
  }
  return planned;
}

/** Those of earlier hours that could not be challenged. */
export async function overdue(db: Queryable, now: Date): Promise<VerificationRow[]> {
  const { rows } = await db.query<VerificationRow>(
    `SELECT * FROM verifications WHERE state = 'due' AND hour + make_interval(secs => $2) < $1 AND due_at < $1
     LIMIT 1000`,
    [now, hourMs / 1_000],
  );
  return rows;
}

/** Gives back those whose process has gone in the middle of the conversation. */
export async function takeBack(db: Queryable): Promise<number> {
  const { rows } = await db.query<VerificationRow>(
    `SELECT * FROM verifications WHERE state NOT IN ('due', 'judged') AND held_until < now()`,
  );
  // The device is not to blame: it gets its tries all the same.
  for (const row of rows) await move(db, row, 'cutShort', { held_until: null, tries: Math.max(0, row.tries - 1) });
  return rows.length;
}

/**
 * Takes those that are due of machines that are online, so that no other process does. All devices of a supplier are due at
 * one time, and are challenged at one time. `held`: seconds.
 */
export async function claim(db: Queryable, limit: number, heldSeconds: number): Promise<VerificationRow[]> {
  const { rows } = await db.query<VerificationRow>(
    `UPDATE verifications SET state = 'challenged', tries = tries + 1, held_until = now() + make_interval(secs => $2),
         passes = '[]', checks = '[]'
     WHERE state = 'due' AND id IN (SELECT v.id FROM verifications v JOIN nodes n ON n.id = v.node_id
       WHERE v.state = 'due' AND v.due_at <= now() AND n.online AND n.removed_at IS NULL
       ORDER BY v.due_at, v.tenant_id, v.id LIMIT $1 FOR UPDATE OF v SKIP LOCKED) RETURNING *`,
    [limit, heldSeconds],
  );
  return rows;
}

/** Verdicts are kept so long; those that were appealed against, for good. */
const keptFor = "interval '30 days'";

export async function forgetOld(db: Queryable): Promise<void> {
  await db.query(
    `DELETE FROM verifications WHERE id IN (SELECT v.id FROM verifications v
       WHERE v.state = 'judged' AND v.judged_at < now() - ${keptFor}
         AND NOT EXISTS (SELECT 1 FROM verification_appeals a WHERE a.verification_id = v.id) LIMIT $1)`,
    [batch],
  );
}
