/** Cells of one Mega-Ray cluster lie where not all of them fail at once. Pure, but for `siblingsOf`. */
import type { CellSpread, NodeId } from '@iocloud/contracts';
import type { Machines } from '../inventory/index.js';
import type { Queryable } from '../platform/index.js';
import type { Offers } from './facts.js';
import type { ClusterRow } from './store.js';

type Site = Pick<Offers[number], 'nodeId' | 'ownerId' | 'terms'>;

/** What a machine fails with. One that states no place stands for itself: nobody knows what it fails with. */
export function siteOf({ nodeId, ownerId, terms }: Site, by: CellSpread['by']): string {
  const stated = {
    machine: nodeId,
    domain: terms.domain,
    region: terms.region,
    country: terms.country,
    supplier: ownerId,
  };
  return stated[by] ?? nodeId;
}

/**
 * The machines to be tried, those first where the fewest other cells lie; each set has those before it. With `required`
 * only where none does.
 */
export function spreadChoices<T extends Site>(
  offers: readonly T[],
  siblings: readonly Site[],
  spread: CellSpread,
): T[][] {
  const counts = new Map<string, number>();
  for (const sibling of siblings) {
    const site = siteOf(sibling, spread.by);
    counts.set(site, (counts.get(site) ?? 0) + 1);
  }
  const countAt = (offer: T) => counts.get(siteOf(offer, spread.by)) ?? 0;
  if (spread.mode === 'required') return [offers.filter(offer => countAt(offer) === 0)];
  const levels = [...new Set(offers.map(countAt))].sort((one, other) => one - other);
  return levels.map(level => offers.filter(offer => countAt(offer) <= level));
}

/** The machines that the heads of the other cells stand on. */
export async function siblingsOf(
  db: Queryable,
  machines: Pick<Machines, 'read'>,
  { id, mega_id: megaId }: Pick<ClusterRow, 'id' | 'mega_id'>,
): Promise<Site[]> {
  const { rows } = await db.query<{ node_id: NodeId }>(
    `SELECT l.node_id FROM clusters c JOIN leases l ON l.cluster_id = c.id AND l.role = 'head' AND l.released_at IS NULL
     WHERE c.mega_id = $1 AND c.id <> $2 AND c.phase <> 'deleted'`,
    [megaId, id],
  );
  const read = await machines.read(db, [...new Set(rows.map(row => row.node_id))]);
  const byId = new Map(read.map(machine => [machine.nodeId, machine]));
  return rows.flatMap(row => byId.get(row.node_id) ?? []);
}
