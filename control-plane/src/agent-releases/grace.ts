/**
 * While an agent changes its release nobody keeps its machine's Ray nodes alive by heartbeats, and a release that fails
 * takes its time to be gone back from. So the machine is granted a longer fence (contracts/src/fencing.ts) and counts as
 * lost so much later. What makes it safe is the order: on record before it is granted, off record (`lostSince` of
 * inventory) only when every fence that was granted has run out.
 */
import type { NodeId, RolloutTerms } from '@iocloud/contracts';
import type { Queryable, Transaction } from '../platform/index.js';

/** For a machine that has to find its way back at the very end. */
const returnSeconds = 30;
/** What was looked up longer ago is not granted any more. Milliseconds. */
const staleMs = 10_000;

export const graceOf = ({ healthySeconds }: Pick<RolloutTerms, 'healthySeconds'>) => healthySeconds + returnSeconds;

/** Never less than what may still be granted from the time before. */
export const grant = (tx: Transaction, nodeIds: readonly NodeId[], graceSeconds: number) =>
  tx.query(
    `UPDATE nodes SET fence_grace_over_at = NULL, fence_grace_seconds = CASE
       WHEN fence_grace_over_at < now() - make_interval(hours => 3) THEN $2 ELSE greatest($2, fence_grace_seconds) END
     WHERE id = ANY($1)`,
    [nodeIds, graceSeconds],
  );

export const endGrant = (tx: Transaction, nodeIds: readonly NodeId[]) =>
  tx.query(
    `UPDATE nodes SET fence_grace_over_at = now()
     WHERE id = ANY($1) AND fence_grace_seconds > 0 AND fence_grace_over_at IS NULL`,
    [nodeIds],
  );

/** What is granted now, read again and again. */
export class Grants {
  #seconds = new Map<NodeId, number>();
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(readonly clockMs: () => number) {}

  async read(db: Queryable): Promise<void> {
    const at = this.clockMs();
    const { rows } = await db.query<{ id: NodeId; seconds: number }>(
      `SELECT id, fence_grace_seconds AS seconds FROM nodes
       WHERE fence_grace_seconds > 0 AND fence_grace_over_at IS NULL AND removed_at IS NULL`,
    );
    this.#seconds = new Map(rows.map(({ id, seconds }) => [id, seconds]));
    this.#readAtMs = at;
  }

  of(nodeId: NodeId): number {
    return this.clockMs() - this.#readAtMs > staleMs ? 0 : (this.#seconds.get(nodeId) ?? 0);
  }
}
