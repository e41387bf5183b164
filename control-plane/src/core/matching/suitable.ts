/** The machine for Ray nodes that must all stand on one, with what is required of it. */
import type { Requirements, TenantId } from '@iocloud/contracts';
import { fleetOf, type MachineFacts, refusalInWords, requestOf, restricted } from './demand.js';
import { empty, type Offer, type Want } from './place.js';

export interface Need {
  wants: Want[];
  rayVersion: string;
  tenantId: TenantId;
  /** The machines given are some of very many: what is wrong with the others is not said. */
  isPart?: boolean | undefined;
}

const ofMany =
  'no machine that meets the requirements has room; `iocloud job explain` (or `cluster explain`) shows how many meet each of them, and what would help';

/**
 * Of the machines the one that meets the requirements best with all wants on it, or the reason why none does; with nothing
 * required, all of them as they are.
 */
export function suitable<T extends Offer & MachineFacts>(
  offers: T[],
  requirements: Requirements | undefined,
  need: Need,
): { offers: T[] } | { refused: string } {
  if (requirements === undefined) return { offers };
  const fleet = fleetOf(offers);
  const request = requestOf(need.tenantId, need.wants, need.rayVersion, requirements);
  const placement = fleet.place(request);
  if ('refused' in placement) return { refused: need.isPart ? ofMany : refusalInWords(fleet.explain(request)) };
  const chosen = placement.workers[0]?.nodeId;
  return { offers: offers.filter(({ nodeId }) => nodeId === chosen).map(offer => restricted(offer, requirements)) };
}

/** The machines that would do if nothing ran on them. */
export function suitableIfEmpty<T extends Offer & MachineFacts>(
  offers: T[],
  requirements: Requirements | undefined,
  need: Need,
): T[] {
  if (requirements === undefined) return offers;
  return offers.flatMap(offer => {
    const found = suitable([{ ...offer, used: empty }], requirements, need);
    return 'refused' in found ? [] : [restricted(offer, requirements)];
  });
}
