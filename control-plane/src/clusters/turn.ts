/**
 * Whose turn it is where several clusters wait for machines: the order of the queue of jobs, class before age and age
 * before class after long enough. A cluster does not take a machine on which one that comes before it would fit as well.
 * No place is kept for one that fits nowhere yet: what is smaller goes before it meanwhile.
 */
import { placeTogether, priceOf, suitable } from '../core/matching/index.js';
import { defaultOrderTerms, rankMs } from '../core/queueing/index.js';
import { type Queryable, type Transaction, wake } from '../platform/index.js';
import { courseOfEnd, endOf, unaffordable } from './ending.js';
import type { Offers, Plan } from './facts.js';
import { placesOf, wantOf } from './places.js';
import { type ClusterRow, spendingOf } from './store.js';

/** Of those that come first, so many are asked whether they would fit. */
const asked = 16;

/** True, and the one that comes first is woken, when it would take the machine that this one is to get. */
export async function comesLater(
  tx: Transaction,
  row: ClusterRow,
  plan: Plan,
  offers: Offers,
  now: Date,
): Promise<boolean> {
  const machine = offers.find(({ nodeId }) => nodeId === plan.start[0]?.nodeId);
  if (!machine || row.origin !== 'user') return false;
  for (const other of await waitingBefore(tx, row, machine, now)) {
    if (!(await wouldTake(tx, other, machine, now))) continue;
    await wake(tx, 'cluster', other.id);
    return true;
  }
  return false;
}

/** Users' clusters that have looked for a machine and found none, and may use this one, in their order. */
async function waitingBefore(
  db: Queryable,
  row: ClusterRow,
  { ownerId, shared }: Offers[number],
  now: Date,
): Promise<ClusterRow[]> {
  const { rows } = await db.query<ClusterRow>(
    `SELECT c.* FROM clusters c,
       LATERAL (SELECT extract(epoch FROM created_at) * 1000 - ($5::jsonb->>(spec->>'priority'))::float8 AS ms) rank
     WHERE phase = 'pending' AND desired = 'running' AND origin = 'user' AND (tenant_id = $1 OR $2)
       AND conditions @> '[{"type": "Placed", "status": "False", "reason": "NoCapacity"}]'
       AND coalesce((retries->'head/0'->>'retryAt')::timestamptz, $6) <= $6
       AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.cluster_id = c.id AND l.released_at IS NULL)
       AND (rank.ms, id) < ($3, $4) ORDER BY rank.ms, id LIMIT $7`,
    [ownerId, shared, rankOf(row), row.id, JSON.stringify(defaultOrderTerms.headStartMs), now, asked],
  );
  return rows;
}

const rankOf = ({ created_at, spec }: ClusterRow): number =>
  rankMs({ submittedAtMs: created_at.getTime(), priorityClass: spec.priority }, defaultOrderTerms);

async function wouldTake(db: Queryable, { id, tenant_id, spec }: ClusterRow, machine: Offers[number], now: Date) {
  const wants = placesOf(spec).map(wantOf);
  const found = suitable([machine], spec.requirements, { wants, rayVersion: spec.rayVersion, tenantId: tenant_id });
  if ('refused' in found || 'refused' in placeTogether(wants, spec.rayVersion, found.offers)) return false;
  if (spec.budgetMicroUsd === null && spec.until === null) return true;
  const spending = (await spendingOf(db, [id], now))(id);
  const isEnding = (courseOfEnd(endOf(spec, spending, now), now)?.stage ?? 'on') !== 'on';
  const price = wants.reduce((sum, { cpus, gpus }) => sum + priceOf(machine.terms, { cpus, gpus }), 0);
  return !isEnding && unaffordable(spec.budgetMicroUsd, spending, price) === null;
}
