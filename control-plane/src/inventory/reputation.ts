/** How far machines can be relied on: numbers between 0 and 1, by what has been counted (evidence.ts). */
import type { NodeId, TenantId } from '@iocloud/contracts';
import { machineReputation } from '../core/matching/index.js';
import type { Queryable } from '../platform/index.js';
import { type StandingRow, toStanding } from './evidence.js';

/** Of each machine named, also of those that nobody has said anything of. */
export async function reputations(
  db: Queryable,
  machines: { id: NodeId; tenant_id: TenantId }[],
  now: Date,
): Promise<Map<NodeId, number>> {
  const subjects = new Set<string>(machines.flatMap(({ id, tenant_id }) => [id, tenant_id]));
  const { rows } = await db.query<StandingRow>('SELECT * FROM standings WHERE subject = ANY($1)', [[...subjects]]);
  const known = new Map(rows.map(row => [row.subject, toStanding(row)]));
  const of = (subject: string) => known.get(subject) ?? toStanding(undefined);
  return new Map(machines.map(({ id, tenant_id }) => [id, machineReputation(of(id), of(tenant_id), now.getTime())]));
}
