/** What is read of machines where something of a cluster is to be placed. */
import { placeTogether, restricted, suitable, type Want } from '../core/matching/index.js';
import type { Transaction } from '../platform/index.js';
import { type Apart, placeApart } from './apart.js';
import type { Ground, Offers } from './facts.js';
import type { LoopWiring } from './loop.js';
import { wantOf } from './places.js';
import type { courseOf } from './reconcile.js';
import { loadOffers, lockPlacement } from './room.js';
import { siblingsOf, spreadChoices } from './spread.js';
import type { ClusterRow } from './store.js';

/** Of very many machines those are read that would carry so many of the Ray nodes, each by itself. */
const mostAskedApart = 64;

/** The machines that matter for what is wanted, under the placement lock. */
export async function lookAround(
  tx: Transaction,
  wiring: LoopWiring,
  row: ClusterRow,
  course: ReturnType<typeof courseOf>,
  isNew: boolean,
): Promise<Ground> {
  const { requirements, rayVersion } = row.spec;
  const wants = course.want.map(wantOf);
  await lockPlacement(tx);
  // All on one machine, or each where it fits beside those before it.
  const together = wants.length > 1 && !course.isMeshed ? [wants] : [];
  const apart = wants.length > 1 || course.isMeshed ? wants.slice(0, mostAskedApart).map(want => [want]) : [wants];
  const asks = [...together, ...apart].map(some => ({ wants: some, rayVersion, requirements }));
  const also = course.nodeId === null ? [] : [course.nodeId];
  const { offers: every, isPart } = await loadOffers(tx, wiring, row.tenant_id, asks, also);
  const groundOf = (all: Offers) => groundAmong(all, row, wants, isNew, isPart);
  if (!isNew || row.spread === null) return groundOf(every);
  const choices = spreadChoices(every, await siblingsOf(tx, wiring.machines, row), row.spread).map(groundOf);
  const need = { wants, rayVersion, requirements, tenantId: row.tenant_id };
  const ground = choices.find(choice => hasRoom(choice, need)) ?? choices.at(-1) ?? groundOf([]);
  if (ground.all.length > 0 || every.length === 0) return ground;
  return { ...ground, unsuitable: `another cell of ${row.mega_name} is in every ${row.spread.by} that there is` };
}

/** Room for all of it, on one machine or on several. */
function hasRoom({ offers, all }: Ground, need: Apart): boolean {
  if (!('refused' in placeTogether(need.wants, need.rayVersion, offers))) return true;
  return need.wants.length > 1 && !('refused' in placeApart(need, all));
}

function groundAmong(all: Offers, row: ClusterRow, wants: Want[], isNew: boolean, isPart: boolean): Ground {
  const { requirements, rayVersion } = row.spec;
  if (!requirements) return { offers: all, all, unsuitable: null };
  if (!isNew) return { offers: all.map(offer => restricted(offer, requirements)), all, unsuitable: null };
  const found = suitable(all, requirements, { wants, rayVersion, tenantId: row.tenant_id, isPart });
  if ('refused' in found) return { offers: [], all, unsuitable: found.refused };
  return { offers: found.offers, all, unsuitable: null };
}
